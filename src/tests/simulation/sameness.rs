//! What is the same library and what is not, whatever it is called and wherever it is.

use super::claims::cause;
use super::oracle::check;
use super::scenario::{Content, OTHER, Rank, Scenario, identity, library, path, spelled};
use super::thing::Thing;
use crate::outcome::Verdict;
use crate::plan::{Item, Library, Plan, What};
use crate::ranks::RankSet;
use crate::request::OpenFlags;

fn lib(content: Content) -> Thing {
    Thing::Library(content)
}

#[test]
fn paths_copies_links_and_bare_names_of_one_content_are_one_library() {
    let mut scenario = Scenario::of(8, 1, 2);
    for rank in 0..8 {
        let folder = ["/lib/", "/copy/", "/link/", ""][rank as usize % 4];
        scenario = scenario.want([rank], spelled(format!("{folder}lib0.so"), OpenFlags::NOW));
    }
    let run = check(&scenario);
    // The sets are equal although no two neighbours spell it alike: nothing has to be exchanged.
    assert_eq!(run.world.collectives(), 2);
    assert_eq!(run.verdict(&lib(0)), Verdict::Committed);
    assert!(run.ranks.iter().all(|rank| rank.host.runs[&lib(0)] == 1));
    // Each rank keeps its own way to it.
    let way = |rank: usize| match &run.ranks[rank].ended {
        Some(Ok(report)) => report.items[0].0.name().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!([way(1), way(3)], ["/copy/lib0.so", "lib0.so"]);
}

#[test]
fn one_rank_that_asks_under_several_names_opens_once() {
    let names = ["lib0.so", "/copy/lib0.so", "/link/lib0.so"];
    let scenario = names
        .into_iter()
        .fold(Scenario::of(3, 1, 3), |scenario, name| scenario.want([1], spelled(name, OpenFlags::NOW)));
    let run = check(&scenario);
    let found = run.libraries();
    assert_eq!((found.len(), found[0].spellings.len()), (1, 3));
    assert_eq!(found[0].path.as_deref(), Some("/lib/lib0.so"));
}

#[test]
fn copies_that_the_program_opened_are_reported_to_all() {
    let paths = vec![path(0), "/copy/lib0.so".to_string()];
    let with_copies = |scenario: Scenario| scenario.on(2, |rank| rank.copies.extend([(0, paths.clone())]));
    // Also where everybody asks for the same: the copies themselves must travel.
    for scenario in [Scenario::of(4, 1, 4).all_want(library(0)), Scenario::of(4, 1, 4).want([2], library(0))] {
        let run = check(&with_copies(scenario));
        for rank in &run.ranks {
            let Some(Ok(report)) = &rank.ended else { panic!("no report") };
            let copies = &report.items[0].0.copies;
            assert_eq!((copies.len(), copies[0].rank, &copies[0].paths), (1, 2, &paths));
        }
    }
}

#[test]
fn a_rank_that_cannot_find_it_loads_the_one_that_another_rank_found() {
    // By its bare name rank 2 does not find it, but it has it.
    let bare = spelled("lib0.so", OpenFlags::NOW);
    let run = check(&Scenario::of(4, 1, 13).all_want(bare.clone()).on(2, |rank| rank.links.clear()));
    assert_eq!(run.verdict(&lib(0)), Verdict::Committed);
    assert_eq!(run.report().items.len(), 1);
    let nobody = check(&Scenario::of(4, 1, 13).all_want(bare).everywhere(|rank| rank.links.clear()));
    assert_eq!(nobody.report().items.len(), 1);
}

#[test]
fn one_spelling_with_two_contents_is_refused_for_both() {
    let other = |rank: &mut Rank| rank.files.extend([(path(0), OTHER)]);
    let run = check(&Scenario::of(4, 1, 14).all_want(library(0)).on(3, |rank| {
        rank.files.clear();
        other(rank);
    }));
    assert_eq!(cause(run.verdict(&lib(0))).ranks, RankSet::one(3));
    assert_eq!(cause(run.verdict(&lib(OTHER))).ranks.to_string(), "ranks 0-2");
}

#[test]
fn a_spelling_that_one_rank_both_found_and_did_not_find_divides_nobody() {
    // Two callers with another search path each: for one `lib0.so` is found, for the other it is not.
    let found = |spelling: &str| Library {
        identity: Some(identity(0)),
        spellings: vec![spelling.into()],
        path: Some(path(0)),
        flags: OpenFlags::NOW,
    };
    let unfound = Library { identity: None, path: None, ..found("lib0.so") };
    for size in 1..=4 {
        let mut scenario = Scenario::of(size, 1, 15);
        for (rank, spec) in (0..).zip(&mut scenario.ranks) {
            let spelling = if rank == 0 { "lib0.so" } else { "/copy/lib0.so" };
            let items = [found(spelling), unfound.clone()].map(|library| Item::new(What::Library(library), rank));
            spec.gathered = Some(Plan { items: items.into() });
        }
        check(&scenario);
    }
}

#[test]
fn a_bare_name_that_means_different_files_is_refused_on_every_rank() {
    for size in 2..=5 {
        for other in 0..size {
            // Both files are everywhere, under paths of their own.
            let scenario = Scenario::of(size, 1, 21)
                .everywhere(|rank| {
                    rank.files.insert("/other/lib0.so".into(), OTHER);
                })
                .on(other, |rank| {
                    rank.links.insert("lib0.so".into(), "/other/lib0.so".into());
                })
                .all_want(spelled("lib0.so", OpenFlags::NOW));
            let run = check(&scenario);
            for content in [0, OTHER] {
                let Verdict::Undone(causes) = run.verdict(&Thing::Library(content)) else { panic!("committed") };
                assert!(causes[0].failure.message.starts_with("`lib0.so` means different files: "), "{causes:?}");
            }
            assert!(run.ranks.iter().all(|rank| rank.host.tried.is_empty()), "nothing was even staged");
        }
    }
}
