//! What the library worker and the import worker do, as `worker` and Python do it.

use super::super::protocol::Mail;
use super::super::worker::{Errand, Result, Work};
use super::process::Process;
use super::run::Program;
use super::script::{Fault, Step, Wish, flags, identity, path};
use super::thread::{Thread, Went};
use crate::error::Phase;
use crate::importer::{self, ImportJob};
use crate::outcome::Failure;
use crate::plan::{self, Callback, Item, Library, Plan, What};
use crate::request::{Lane, Request};
use crate::round::{Done, Job as Asked};
use crate::session::State;
use crate::session::jobs::Gathered;
use crate::session::pending::Pending;
use crate::task::Shapes;

/// What a worker is at.
pub enum Job {
    Native { number: u64, state: Box<State>, work: Work, failed: Vec<(u32, Failure)> },
    Import(Box<dyn importer::Errand>),
}

impl Thread {
    /// A worker without a job takes the next.
    pub fn work(&mut self, process: &mut Process) -> bool {
        let workers = process.spec.scripts.len();
        if self.number == workers {
            let next = process.desk.queues().errands.pop_front();
            match next {
                Some(Errand { number, state, work, .. }) => {
                    self.begin_native(number, state, work);
                    true
                }
                // It looks at the link maps once in a while.
                _ => self.look(process),
            }
        } else if self.number == workers + 1 {
            let next = process.desk.queues().imports.pop_front();
            let Some((_, errand)) = next else { return false };
            self.begin_import(errand);
            true
        } else {
            false
        }
    }

    /// What the program has opened by itself: here, every library is a plugin.
    fn look(&mut self, process: &mut Process) -> bool {
        let unseen = std::mem::take(&mut process.unseen);
        unseen.iter().for_each(|library| process.record(Wish::Library(*library), false, None));
        !unseen.is_empty()
    }

    fn begin_native(&mut self, number: u64, state: Box<State>, work: Work) {
        self.opened.clear();
        self.push(&[Step::Finish]);
        match &work {
            Work::Round(Asked::Open(items)) => {
                for (index, item) in items.iter().rev() {
                    if let Wish::Callback(..) = Wish::of(item) {
                        // Callbacks run when all is open.
                        self.push(&[Step::Outcome(*index)]);
                    }
                }
                for (index, item) in items.iter().rev() {
                    let (Wish::Library(library) | Wish::Callback(library, _)) = Wish::of(item) else { continue };
                    self.push(&[Step::Item(*index), Step::LockLoader, Step::Construct(library), Step::UnlockLoader]);
                }
            }
            // It looks up what is loaded, or promotes it.
            Work::Gather(_) | Work::Round(Asked::Settle { .. }) => {
                self.push(&[Step::LockLoader, Step::UnlockLoader]);
            }
            Work::Round(_) => {}
        }
        self.job = Some(Job::Native { number, state, work, failed: Vec::new() });
    }

    fn begin_import(&mut self, errand: Box<dyn importer::Errand>) {
        self.opened.clear();
        let step = match errand.job() {
            ImportJob::Import(name) => Step::Import(number_of(name)),
            _ => Step::Compute(1),
        };
        self.push(&[Step::TakeGil, step, Step::Finish]);
        self.job = Some(Job::Import(errand));
    }

    pub fn step_job(&mut self, step: Step, process: &mut Process, program: &Program) -> Went {
        match step {
            Step::Item(_) if program.scenario.gone == Some(process.rank) => return Went::Blocked,
            Step::Item(index) => self.begin_item(index),
            Step::Outcome(index) => self.callback(index, process),
            _ => return self.finish(process, program),
        }
        Went::On
    }

    fn item(&self, index: u32) -> Option<Item> {
        let Some(Job::Native { work: Work::Round(Asked::Open(items)), .. }) = &self.job else { return None };
        items.iter().find(|(at, _)| *at == index).map(|(_, item)| item.clone())
    }

    fn begin_item(&mut self, index: u32) {
        let Some(item) = self.item(index) else { return };
        let (Wish::Library(library) | Wish::Callback(library, _)) = Wish::of(&item) else { return };
        self.asker = Some(plan::library_key(&identity(library)));
    }

    fn callback(&mut self, index: u32, process: &Process) {
        let Some(item) = self.item(index) else { return };
        let wish = Wish::of(&item);
        if let Wish::Callback(library, tag) = wish
            && process.open.contains(&library)
            && !process.runs.contains_key(&wish)
        {
            self.asker = Some(item.place_key());
            self.push(&[Step::RunCallback(library, tag)]);
        }
    }

    fn finish(&mut self, process: &mut Process, program: &Program) -> Went {
        if program.scenario.fault == Some(Fault::NativeAfterPython)
            && matches!(self.job, Some(Job::Native { .. }))
            && !process.post.track(Lane::Python).is_idle()
        {
            return Went::Blocked;
        }
        assert!(self.inside.is_empty(), "a job ends inside {:?}", self.inside);
        match self.job.take() {
            Some(Job::Native { number, state, work, failed }) => {
                self.finish_native(number, state, work, failed, process);
            }
            Some(Job::Import(errand)) => self.finish_import(errand, process),
            None => {}
        }
        self.asker = None;
        Went::On
    }

    fn finish_native(
        &mut self,
        number: u64,
        state: Box<State>,
        work: Work,
        mut failed: Vec<(u32, Failure)>,
        process: &mut Process,
    ) {
        let shared = process.shared.clone();
        let mut gathered = None;
        let done = match work {
            Work::Gather(taken) => {
                self.look(process);
                let (plan, found) = gather(process, taken);
                gathered = Some(found);
                Done::Gathered(plan)
            }
            Work::Round(job) => match job {
                Asked::Stage(items) | Asked::Open(items) => {
                    for (index, item) in &items {
                        let (Wish::Library(library) | Wish::Callback(library, _)) = Wish::of(item) else { continue };
                        if process.spec.lacks.contains(&library) {
                            failed.push((*index, Failure::new(Phase::Stage, "it is not there")));
                        }
                    }
                    Done::Tried { failed, more: shared.more(Some(Lane::Native)), shapes: Shapes::default() }
                }
                Asked::Settle { commit, .. } => {
                    for item in &commit {
                        process.committed.insert(Wish::of(item));
                    }
                    Done::Settled
                }
                Asked::Conclude { revoke } => {
                    revoke.iter().for_each(|item| {
                        process.committed.remove(&Wish::of(item));
                    });
                    Done::Settled
                }
                Asked::Import(_) | Asked::Gather => unreachable!("the lane has no modules"),
            },
        };
        let result = Box::new(Result { number, state, done, gathered });
        process.tell(|session| Mail::Native(session, result));
    }

    fn finish_import(&mut self, errand: Box<dyn importer::Errand>, process: &mut Process) {
        let job = errand.job().clone();
        let mut answer = Ok(());
        match &job {
            ImportJob::Import(name) => {
                if self.failed {
                    answer = Err(Failure::import(format!("{name}: it raises"), None));
                }
                // `imports::Work::end`: plugins that came with it.
                let asked_by = Some(Item::new(What::Module { name: name.clone() }, 0).place_key());
                let came = std::mem::take(&mut self.opened);
                if answer.is_ok() {
                    let requests = came.into_iter().map(|library| Wish::Library(library).request());
                    process.shared.ask(requests.map(|request| Pending::asked(request, asked_by)));
                }
            }
            ImportJob::Commit(name) => {
                process.committed.insert(Wish::Module(number_of(name)));
            }
            ImportJob::Undo(_) => {}
            ImportJob::Revoke(name) => {
                process.committed.remove(&Wish::Module(number_of(name)));
            }
            ImportJob::Call { .. } => unreachable!("there are no callbacks in Python here"),
        }
        process.gil = process.gil.filter(|holder| *holder != self.number);
        errand.end(answer);
    }
}

fn number_of(name: &str) -> u32 {
    name.trim_start_matches('m').parse().expect("modules are numbered")
}

/// `jobs::gather`, on files that are there or not.
fn gather(process: &Process, taken: Vec<Pending>) -> (Plan, Gathered) {
    let mut plan = Plan::default();
    let (mut means, mut recorded) = (Vec::new(), Vec::new());
    for Pending { request, asked_by, ticket, .. } in taken {
        if ticket.is_none() && asked_by.is_none() {
            recorded.push(request.clone());
        }
        let what = match request {
            Request::Library { spelling, flags: wanted, .. } => {
                let number = spelling.trim_start_matches("/lib/lib").trim_end_matches(".so").parse().expect("a number");
                let found = (!process.spec.lacks.contains(&number)).then(|| identity(number));
                means.extend(ticket.map(|ticket| (ticket, found.clone())));
                if found.is_some() && process.committed.contains(&Wish::Library(number)) && asked_by.is_none() {
                    continue;
                }
                debug_assert_eq!(wanted, flags(number));
                let path = found.as_ref().map(|_| path(number));
                What::Library(Library { identity: found, spellings: vec![spelling], path, flags: wanted })
            }
            Request::Callback { code, tag } => {
                let callback = Callback::new(code, tag);
                let wish = Wish::of(&Item::new(What::Callback(callback.clone()), 0));
                if process.committed.contains(&wish) && asked_by.is_none() {
                    continue;
                }
                What::Callback(callback)
            }
            other => unreachable!("nobody asks the library worker for {other:?}"),
        };
        let mut item = Item::new(what, process.rank);
        item.asked_by = asked_by.into_iter().filter(|asker| *asker != item.place_key()).collect();
        plan.add(item);
    }
    (plan, Gathered { plan: Plan::default(), means, recorded })
}
