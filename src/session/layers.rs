//! The layers of a stack, for all ranks: one rank makes the plan, and every rank carries it out.

use std::path::Path;

use super::{CallError, Session, record, verdict};
use crate::code::CodeRef;
use crate::config::{self, Mode};
use crate::host::{dl, layered, search};
use crate::layers::plan::{Plan, PlanError, Target};
use crate::layers::stack::Stack;

impl Session {
    /// From now on, what dlcast opens on any rank finds the libraries that it needs in the layers of a stack: what ld.so would not
    /// find, or would take from the host though a layer has it, is opened first. What an object finds by itself, or by way of
    /// LD_LIBRARY_PATH, is left to it. What the program opens itself is not seen here; in Python, `dlcast.layers.activate` does this
    /// for imports, too.
    ///
    /// `stack` is a `stack.toml`, a `venvstacks.toml`, or a folder that holds one of them. Rank 0 reads it and looks at the layers, in
    /// service mode the rank that calls; the others do no searching, and what they give is not looked at. Several stacks add up; where two have
    /// a name, the one that was activated last goes first.
    ///
    /// # Collective
    /// As [`Session::load_global`]; here every rank calls this. Shown by `mpi-tests/src/bin/layers.rs`.
    ///
    /// # Errors
    /// [`CallError::Undone`] with what is wrong with the stack, the same on every rank; in service mode [`CallError::Invalid`], on the
    /// rank that has called.
    pub fn activate_layers(&self, stack: &Path) -> Result<(), CallError> {
        self.activate_layers_or(Ok(stack))
    }

    /// A plan that is there: what `dlcast layers plan` has printed. Local.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn install_layers(plan: &str) -> Result<(), PlanError> {
        layered::install(plan)
    }

    /// Opens what the active layers have and the object at `path` needs, before the program opens that itself. Local. What dlcast opens
    /// has this done for it.
    ///
    /// # Errors
    /// Which library of which layer cannot be opened, and why.
    pub fn open_needs(path: &str) -> Result<(), String> {
        dl::open_before(path).map(|_meant| ())
    }

    /// The same, where the argument may be a bad one: this rank takes part all the same, so that nobody waits for it.
    pub(crate) fn activate_layers_or(&self, stack: Result<&Path, CallError>) -> Result<(), CallError> {
        let serves = self.mode() == Mode::Service;
        let stack = match stack {
            Ok(stack) => stack,
            Err(error) if serves => return Err(error),
            Err(error) => {
                let call = self.begin(Some(record::or_invalid(Err(error))), None)?;
                return verdict(self.finish(call)?.own);
            }
        };
        if self.rank() != 0 && !serves {
            let report = self.sync()?;
            let is_it = |name: &str| CodeRef::of(layered::callback(), "").is_ok_and(|code| code.to_string() == name);
            let undone = report.undone.into_iter().map(|request| request.undone);
            let undone = undone.filter(|undone| undone.kind == "callback").find(|undone| is_it(&undone.name));
            return undone.map_or(Ok(()), |undone| Err(named(CallError::Undone(undone), stack)));
        }
        let (text, tag) = match plan(stack) {
            Ok(plan) => (plan, layered::PLAN),
            Err(text) if serves => return Err(CallError::Invalid(text)),
            Err(text) => (text, layered::NO_PLAN),
        };
        let code = CodeRef::of(layered::callback(), "").map_err(|error| CallError::Invalid(error.to_string()));
        let request = code.and_then(|code| record::callback(code, text.as_bytes(), tag));
        let call = self.begin(Some(record::or_invalid(request)), None)?;
        verdict(self.finish(call)?.own).map_err(|error| named(error, stack))
    }
}

/// That a callback carries it is no news to whoever reads what is wrong with a stack.
fn named(error: CallError, stack: &Path) -> CallError {
    match error {
        CallError::Undone(mut undone) => {
            (undone.kind, undone.name) = ("the stack", stack.display().to_string());
            CallError::Undone(undone)
        }
        other => other,
    }
}

/// For a process like this one, as it is now: the layers that count are those within reach of its program, where that is in a layer.
fn plan(stack: &Path) -> Result<String, String> {
    let stack = Stack::read(stack, None).map_err(|error| error.to_string())?;
    let program = config::executable().ok();
    // The program may be a link to one that is in no layer; its folder is what tells.
    let path = config::called_as().and_then(|program| Some(program.parent()?.to_path_buf())).into_iter().collect();
    let target = Target { program, library_path: config::library_path(), path, ..Target::default() };
    let plan = Plan::make(&stack, &target, &search::system()).map_err(|error| error.to_string())?;
    plan.to_json().map_err(|error| error.to_string())
}
