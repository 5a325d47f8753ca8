//! Why ld.so finds what an object needs, or why it does not, and what could be done about it.
//!
//! It goes through the whole search in thought and gives values; the words for people are the command's. What an object is given
//! at run time by others (a library that a package opens first by its path) it cannot know.

mod hints;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::search::process::{Need, NotGiven, Opened, of_system};
use super::search::{Process, Rule, Trail, folders};
pub use hints::Hint;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// What dlopen does with this path or bare name.
    Open(OsString),
    /// What dlopen does with the path of this file, called from the program.
    File(PathBuf),
    /// What the start of the process's program does.
    Start(PathBuf),
}

/// A library of a wanted name that the search did not come to, or passed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The layer that has it, if it is one of a stack.
    pub layer: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// Whether others get it.
    pub state: State,
}

/// Whether a library of a layer is there for the layer that wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It would be found by way of links.
    Offered,
    /// The layer that wants it does not use the layer that has it.
    NotUsed,
    /// `dynlib_exclude` keeps it from others.
    Excluded,
    /// No layer gets it, for it is none that this machine loads: what it is.
    Broken(String),
}

/// Tells where else libraries of a name are.
pub type Elsewhere<'a> = dyn Fn(&OsStr) -> Vec<Place> + 'a;

/// The whole search.
#[derive(Debug)]
pub struct Explanation {
    /// In the order of ld.so: what was asked for, if that was searched for, then what it needs, breadth first.
    pub steps: Vec<Step>,
}

/// One name.
#[derive(Debug)]
pub struct Step {
    /// The object that needs it; None: it was asked for.
    pub by: Option<PathBuf>,
    /// Where it was sought.
    pub trail: Trail,
    /// The search paths of the object that needs it.
    pub own: Own,
    /// What came of it.
    pub outcome: Outcome,
    /// What else is known of that name.
    pub hints: Vec<Hint>,
}

/// The search paths of an object, as they stand there; none where it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// DT_RPATH.
    pub rpath: Option<OsString>,
    /// DT_RUNPATH.
    pub runpath: Option<OsString>,
}

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A file that is loaded now.
    Found,
    /// It was loaded before.
    Loaded,
    /// No file.
    NotFound,
    /// A file that cannot be loaded: why.
    Refused(String),
}

impl Explanation {
    /// The steps that came to nothing.
    pub fn missing(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.is_missing())
    }
}

impl Step {
    /// Tells whether there is no library to load.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.outcome, Outcome::NotFound | Outcome::Refused(_))
    }
}

/// Goes through the whole search for `target` in `process`. A bare name is searched for as if the object `caller` had called dlopen,
/// the program by default.
#[must_use]
pub fn explain(process: &mut Process, target: &Target, caller: Option<usize>, elsewhere: &Elsewhere) -> Explanation {
    let mut steps = Vec::new();
    let (asked, needs) = match target {
        Target::Start(program) => (None, process.start(program).unwrap_or_default()),
        Target::Open(name) => asked(process.open(name, caller)),
        Target::File(path) => asked(process.open_file(path)),
    };
    if let Some((trail, given)) = asked {
        let asker = caller.or(process.program_index());
        steps.push(step(process, (None, asker), trail, given, &Known { elsewhere, is_systems: false }));
    }
    let system = of_system(&needs);
    for Need { by, trail, given } in needs {
        let path = process.object(by).path.clone();
        let known = Known { elsewhere, is_systems: system.contains(&by) };
        steps.push(step(process, (Some(path), Some(by)), trail, given, &known));
    }
    Explanation { steps }
}

type Asked = Option<(Trail, Result<usize, NotGiven>)>;

fn asked(Opened { trail, given, needs }: Opened) -> (Asked, Vec<Need>) {
    (Some((trail, given)), needs)
}

/// What is known beside the process.
struct Known<'a> {
    elsewhere: &'a Elsewhere<'a>,
    /// The one who asks is the system's own: its libraries are for it.
    is_systems: bool,
}

fn step(
    process: &Process,
    (by, asker): (Option<PathBuf>, Option<usize>),
    trail: Trail,
    given: Result<usize, NotGiven>,
    known: &Known,
) -> Step {
    let outcome = match given {
        Ok(_) if trail.found.as_ref().is_some_and(|found| found.rule == Rule::Loaded) => Outcome::Loaded,
        Ok(_) => Outcome::Found,
        Err(NotGiven::NotFound) => Outcome::NotFound,
        Err(error) => Outcome::Refused(error.to_string()),
    };
    let hints = hints::hints(process, &trail, &outcome, asker, known);
    Step { by, trail, own: own(process, asker), outcome, hints }
}

/// RPATH and RUNPATH of an object, as they stand there.
fn own(process: &Process, index: Option<usize>) -> Own {
    let text = |entries: &[OsString]| (!entries.is_empty()).then(|| entries.join(OsStr::new(":")));
    let elf = index.map(|index| &process.object(index).elf);
    elf.map_or(Own::default(), |elf| Own { rpath: text(&elf.rpath), runpath: text(&elf.runpath) })
}

/// The folders of RPATH and RUNPATH of an object as it stands there, whether it counts or not.
fn own_folders(process: &Process, index: usize) -> [Vec<PathBuf>; 2] {
    let object = process.object(index);
    let origin = process.origin(index);
    let of = |entries: &[OsString]| {
        let folders = folders::of_object(entries, &origin, process.system());
        folders.into_iter().map(|folder| folder.path).collect()
    };
    [of(&object.elf.rpath), of(&object.elf.runpath)]
}
