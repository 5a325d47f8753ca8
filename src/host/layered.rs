//! The plans that this process carries out: which libraries of layers are to be opened before what.
//!
//! Kept here, where a round opens libraries; [`dl`](super::dl) opens them. Whoever makes a plan, or brings it, is not known here.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dlcast_plugin::guarded_callback;

use super::search;
use crate::layers::plan::{Library, Plan, PlanError};
use crate::layers::search::process::{self, NotGiven};
use crate::layers::search::{Disk, Process, Rule};

/// The tag of [`callback`] for a plan, and for the reason why there is none.
pub const PLAN: u64 = 0;
/// See [`PLAN`].
pub const NO_PLAN: u64 = 1;

static PLANS: Mutex<Vec<Arc<Plan>>> = Mutex::new(Vec::new());
/// What was opened: each library once.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// What is being opened. Another thread that needs it opens it, too, and is given it when it is there.
static OPENING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries a plan out from now on, in place of an earlier one of the same stack.
///
/// # Errors
///
/// [`PlanError`]; then nothing has changed.
pub fn install(json: &str) -> Result<(), PlanError> {
    let plan = Plan::from_json(json)?;
    let mut plans = lock(&PLANS);
    plans.retain(|known| known.stack != plan.stack);
    plans.push(Arc::new(plan));
    Ok(())
}

/// The callback that every rank runs when one of them has a plan.
pub fn callback() -> *const c_void {
    let take = guarded_callback(|payload: &[u8], tag: u64| -> Result<(), String> {
        let text = String::from_utf8_lossy(payload);
        match tag {
            PLAN => install(&text).map_err(|error| error.to_string()),
            _ => Err(text.into_owned()),
        }
    });
    take as *const c_void
}

/// What has to be open before `name` is opened, a path or a bare name, and is not yet.
pub(super) fn before(name: &str) -> Vec<Library> {
    let plans = lock(&PLANS).clone();
    if plans.is_empty() {
        return Vec::new();
    }
    let mut first: Vec<Library> = plans.iter().flat_map(|plan| plan.before(name)).cloned().collect();
    if first.is_empty() && name.contains('/') && !plans.iter().any(|plan| plan.has(Path::new(name))) {
        first = outside(&plans, Path::new(name));
    }
    let open = lock(&OPEN);
    first.into_iter().filter(|library| !open.contains(&library.file)).collect()
}

/// What an object needs that lies outside the layers, of which no plan knows: what ld.so would not find for it, or would take from the
/// host, and nobody has loaded.
fn outside(plans: &[Arc<Plan>], object: &Path) -> Vec<Library> {
    let (own, system) = search::folders();
    let disk = Disk::default();
    let mut process = Process::empty(&system, &disk, None);
    // The program's RPATH is among them, too.
    process.set_library_path(own.folders);
    let needs = process.open_file(object).needs;
    let of_system = process::of_system(&needs);
    let lacks = needs.iter().filter(|need| match (&need.given, &need.trail.found) {
        (Err(NotGiven::NotFound), _) => true,
        (Ok(_), Some(found)) => matches!(found.rule, Rule::Cache | Rule::System) && !of_system.contains(&need.by),
        _ => false,
    });
    let names = lacks.filter_map(|need| need.trail.name.to_str()).filter(|name| search::loaded(name).is_none());
    names.flat_map(|name| plans.iter().rev().find_map(|plan| plan.with(name)).unwrap_or_default()).collect()
}

/// The file that a bare name means.
pub(super) fn means(name: &str) -> Option<PathBuf> {
    let plans = lock(&PLANS).clone();
    // The newest goes first.
    plans.iter().rev().find_map(|plan| Some(plan.libraries[*plan.names.get(name)?].file.clone()))
}

/// Whether it was opened from a layer, under this path, or is about to be.
pub(super) fn has_opened(file: &Path) -> bool {
    [&OPEN, &OPENING].into_iter().any(|list| lock(list).iter().any(|open| open == file))
}

/// A library that is being opened, as long as this lives.
pub(super) struct Mark<'a>(&'a Path);

impl<'a> Mark<'a> {
    pub fn on(file: &'a Path) -> Self {
        lock(&OPENING).push(file.to_path_buf());
        Mark(file)
    }

    /// It need not be opened again.
    pub fn keep(&self) {
        lock(&OPEN).push(self.0.to_path_buf());
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        let mut opening = lock(&OPENING);
        let last = opening.iter().rposition(|open| open == self.0);
        last.map(|last| opening.remove(last));
    }
}
