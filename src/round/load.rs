//! What to open, and after that what to import: a module may need the libraries that the same round makes GLOBAL.

use super::{Ask, Job, MOST_PASSES, Round, State};
use crate::error::Phase;
use crate::outcome::{Cause, Failure, Verdict};
use crate::plan::{Item, What};

impl Round {
    /// A call with a bad argument has failed where it was made.
    pub(super) fn refuse_invalid(&mut self) {
        for (index, item) in self.plan.items.iter().enumerate() {
            if let What::Invalid { message } = &item.what {
                let failure = Failure::new(Phase::Call, message.clone());
                self.verdicts[index] =
                    Some(Verdict::Undone(vec![Cause { item: index as u32, failure, ranks: item.holders.clone() }]));
            }
        }
    }

    /// What would never end is refused, and so is a bare name that means different files.
    pub(super) fn refuse_endless_and_ambiguous(&mut self) {
        if self.report.rounds > MOST_PASSES {
            let text = format!(
                "asked for after {MOST_PASSES} passes of one call: does something that runs once ask for another one each time?"
            );
            for (item, verdict) in self.plan.items.iter().zip(&mut self.verdicts) {
                verdict.get_or_insert_with(|| {
                    Verdict::Undone(vec![Cause {
                        item: 0,
                        failure: Failure::new(Phase::Call, text.clone()),
                        ranks: item.holders.clone(),
                    }])
                });
            }
            return;
        }
        for index in 0..self.plan.items.len() {
            if let Some(text) = self.plan.ambiguous(index) {
                let ranks = self.plan.items[index].holders.clone();
                let failure = Failure::new(Phase::Stage, text);
                self.verdicts[index] = Some(Verdict::Undone(vec![Cause { item: index as u32, failure, ranks }]));
            }
        }
    }

    /// Opens the libraries, and runs the callbacks, that have no verdict; without any, goes on to Python's lane.
    pub(super) fn load_native(&mut self) -> Ask {
        let libraries = self.open_items(Item::is_native);
        if libraries.is_empty() {
            return self.load_python();
        }
        self.batch = libraries.iter().map(|(index, _)| *index).collect();
        self.ask_job(State::Loading, Job::Open(libraries))
    }

    /// Imports the modules, and runs the Python callbacks, that have no verdict; without any, the pass is over.
    pub(super) fn load_python(&mut self) -> Ask {
        let modules = self.open_items(Item::is_python);
        if modules.is_empty() {
            return self.end_pass();
        }
        self.batch = modules.iter().map(|(index, _)| *index).collect();
        self.ask_job(State::Loading, Job::Import(modules))
    }
}
