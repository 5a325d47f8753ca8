//! In which order a layer's layers are searched: C3, as venvstacks has it and Python for base classes.
//!
//! A layer comes before those that it uses, and of two that somebody lists, the first stays the first. It is about numbers; it knows
//! no names and no files.

use std::collections::{HashMap, VecDeque};

/// Why there is no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disorder {
    /// Each one uses the next, and the last one the first.
    Cycle(Vec<usize>),
    /// What one layer uses cannot be put in one order.
    Conflict {
        /// The layer.
        layer: usize,
        /// Orders that contradict each other.
        wishes: Vec<Wish>,
    },
}

/// Somebody has one layer before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Whose order it is.
    pub of: usize,
    /// Which comes first.
    pub first: usize,
    /// Which comes later.
    pub later: usize,
}

/// For each layer the layers below it, itself not among them. `uses` is what each lists, none twice.
///
/// # Errors
///
/// [`Disorder`] when layers use each other in a circle, or their lists contradict each other.
pub fn linearise(uses: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Disorder> {
    let mut orders: Vec<Option<Vec<usize>>> = vec![None; uses.len()];
    for layer in users_last(uses)? {
        let below = |below: usize| orders[below].clone().unwrap_or_default();
        let mut lists: Vec<List> = Vec::new();
        for &used in &uses[layer] {
            lists.push(List { of: used, rest: std::iter::once(used).chain(below(used)).collect() });
        }
        lists.push(List { of: layer, rest: uses[layer].iter().copied().collect() });
        orders[layer] = Some(merge(lists).map_err(|wishes| Disorder::Conflict { layer, wishes })?);
    }
    Ok(orders.into_iter().flatten().collect())
}

/// All layers, each after what it uses. Without recursion: how deep it would go, the file says.
fn users_last(uses: &[Vec<usize>]) -> Result<Vec<usize>, Disorder> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; uses.len()];
    let mut order = Vec::new();
    for start in 0..uses.len() {
        // The way down to here, and how many of each layer's list have been seen.
        let mut way: Vec<(usize, usize)> = Vec::new();
        if states[start] == State::New {
            states[start] = State::Open;
            way.push((start, 0));
        }
        while let Some((layer, seen)) = way.last_mut() {
            let Some(&next) = uses[*layer].get(*seen) else {
                states[*layer] = State::Done;
                order.push(*layer);
                way.pop();
                continue;
            };
            *seen += 1;
            match states[next] {
                State::Done => {}
                State::New => {
                    states[next] = State::Open;
                    way.push((next, 0));
                }
                State::Open => {
                    let circle = way.iter().map(|(layer, _)| *layer).skip_while(|layer| *layer != next);
                    return Err(Disorder::Cycle(circle.collect()));
                }
            }
        }
    }
    Ok(order)
}

/// What somebody lists and has not been placed yet.
struct List {
    of: usize,
    rest: VecDeque<usize>,
}

/// Takes the first head that stands behind another in no list, until nothing is left.
fn merge(mut lists: Vec<List>) -> Result<Vec<usize>, Vec<Wish>> {
    // In how many lists a layer stands behind another.
    let mut behind: HashMap<usize, usize> = HashMap::new();
    for layer in lists.iter().flat_map(|list| list.rest.iter().skip(1)) {
        *behind.entry(*layer).or_default() += 1;
    }
    let mut merged = Vec::new();
    loop {
        lists.retain(|list| !list.rest.is_empty());
        if lists.is_empty() {
            return Ok(merged);
        }
        let free = |head: &usize| behind.get(head).is_none_or(|count| *count == 0);
        let Some(next) = lists.iter().map(|list| list.rest[0]).find(free) else {
            return Err(contradiction(&lists));
        };
        merged.push(next);
        for list in lists.iter_mut().filter(|list| list.rest[0] == next) {
            list.rest.pop_front();
            if let Some(count) = list.rest.front().and_then(|head| behind.get_mut(head)) {
                *count -= 1;
            }
        }
    }
}

/// Every head stands behind another head: going from one to the other ends in a circle, which is the contradiction.
fn contradiction(lists: &[List]) -> Vec<Wish> {
    let mut wishes: Vec<Wish> = Vec::new();
    let mut later = lists[0].rest[0];
    while let Some(list) = lists.iter().find(|list| list.rest.iter().skip(1).any(|other| *other == later)) {
        if let Some(start) = wishes.iter().position(|earlier| earlier.later == later) {
            return wishes.split_off(start);
        }
        let wish = Wish { of: list.of, first: list.rest[0], later };
        wishes.push(wish);
        later = wish.first;
    }
    wishes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers by the letters that each one uses: "a: bc" uses b and c.
    fn orders(layers: &[&str]) -> Result<Vec<String>, Disorder> {
        let names: Vec<char> = layers.iter().map(|layer| layer.chars().next().unwrap()).collect();
        let place = |used: char| names.iter().position(|name| *name == used).unwrap();
        let uses: Vec<Vec<usize>> = layers.iter().map(|layer| layer[2..].trim().chars().map(place).collect()).collect();
        let named = |order: &Vec<usize>| order.iter().map(|index| names[*index]).collect();
        linearise(&uses).map(|orders| orders.iter().map(named).collect())
    }

    #[test]
    fn orders_are_those_of_python_classes() {
        // The examples of "The Python 2.3 Method Resolution Order", without the class itself; checked with `type.__mro__`.
        let first = orders(&["o:", "d: o", "e: o", "f: o", "b: de", "c: df", "a: bc"]).unwrap();
        assert_eq!(first, ["", "o", "o", "o", "deo", "dfo", "bcdefo"]);
        let second = orders(&["o:", "d: o", "e: o", "f: o", "b: ed", "c: df", "a: bc"]).unwrap();
        assert_eq!(second, ["", "o", "o", "o", "edo", "dfo", "becdfo"]);
        let third = ["o:", "a: o", "b: o", "c: o", "d: o", "e: o", "k: abc", "l: dbe", "m: da", "z: klm"];
        assert_eq!(orders(&third).unwrap().last().unwrap(), "klmdabceo");
    }

    #[test]
    fn the_order_of_the_file_does_not_matter() {
        assert_eq!(orders(&["a: bc", "b: r", "c: r", "r:"]).unwrap(), ["bcr", "r", "r", ""]);
        assert_eq!(orders(&["c: r", "r:", "b: r", "a: bc"]).unwrap(), ["r", "", "r", "bcr"]);
    }

    #[test]
    fn what_is_listed_before_what_uses_it_is_a_contradiction() {
        let Err(Disorder::Conflict { layer: 2, wishes }) = orders(&["r:", "b: r", "a: rb"]) else {
            panic!("it is one")
        };
        assert_eq!(wishes, [Wish { of: 1, first: 1, later: 0 }, Wish { of: 2, first: 0, later: 1 }]);
    }

    #[test]
    fn a_contradiction_names_whose_orders_they_are() {
        // x has a before b, y has b before a; r contradicts nobody.
        let conflict = orders(&["r:", "a: r", "b: r", "x: ab", "y: ba", "z: xy"]).unwrap_err();
        let Disorder::Conflict { layer: 5, wishes } = conflict else { panic!("{conflict:?}") };
        let mut told: Vec<(usize, usize, usize)> =
            wishes.iter().map(|wish| (wish.of, wish.first, wish.later)).collect();
        told.sort_unstable();
        assert_eq!(told, [(3, 1, 2), (4, 2, 1)]);
    }

    #[test]
    fn a_contradiction_of_three_is_told_whole() {
        let layers = ["a:", "b:", "c:", "x: ab", "y: bc", "z: ca", "w: xyz"];
        let Err(Disorder::Conflict { layer: 6, wishes }) = orders(&layers) else { panic!("it is one") };
        assert_eq!(wishes.len(), 3);
        assert!(wishes.iter().zip(wishes.iter().cycle().skip(1)).all(|(one, next)| one.first == next.later));
    }

    #[test]
    fn a_cycle_is_told_without_the_way_to_it() {
        assert_eq!(orders(&["a: b", "b: c", "c: d", "d: b"]), Err(Disorder::Cycle(vec![1, 2, 3])));
        assert_eq!(orders(&["a: a"]), Err(Disorder::Cycle(vec![0])));
    }

    #[test]
    fn many_layers_take_no_time_and_no_stack() {
        let chain: Vec<Vec<usize>> = (0..1000).map(|index| (index + 1..1000).take(1).collect()).collect();
        assert_eq!(linearise(&chain).unwrap()[0].len(), 999);
        let all: Vec<Vec<usize>> = (0..300).map(|index| (index + 1..300).collect()).collect();
        assert_eq!(linearise(&all).unwrap()[0].len(), 299);
    }
}
