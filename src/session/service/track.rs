//! One lane of a session on this rank: what its rounds ask for is started here, and answered when it is done; nothing waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::imports;
use super::super::jobs::{self, Gathered};
use super::super::pending::Pending;
use super::super::{CallError, Shared, State, lock};
use super::super::{program, report};
use super::python::Batch;
use super::tickets::Answer;
use super::worker::{self, Errand, Work};
use super::{Past, Served};
use crate::comm::{Comm, CommError, Local};
use crate::error::Phase;
use crate::identity::Identity;
use crate::lane::{Act, Lane as Rounds, Word};
use crate::outcome::{Failure, Verdict};
use crate::plan::{Item, Key, What};
use crate::request::{Lane, Request};
use crate::round::{Ask, Done, Given, Growth, Job, Report};
use crate::task::Shapes;
use crate::wire::WireError;

/// What a lane is at.
enum Doing {
    /// In no round.
    Nothing,
    /// A collective.
    Collective { since: Instant },
    /// The library worker has a job; what it is about.
    Libraries { since: Instant, what: String, late: Late },
    /// Python has a batch.
    Python { since: Instant, batch: Box<Batch>, items: Vec<(u32, Item)>, then: Then },
    /// Modules have asked for libraries: the native lane sees to them first.
    Natives { since: Instant, ticket: u64, failed: Vec<(u32, Failure)>, items: Vec<(u32, Item)> },
}

/// What becomes of a job of the library worker that is not done in time.
enum Late {
    /// These requests are not found out about: who waits for one is told so, the others stay recorded.
    Gather(Vec<Pending>),
    /// These items fail, in this phase.
    Fail(Phase, Vec<u32>),
    /// It is waited for: what was agreed has to be done.
    Wait,
}

/// What is done when Python is.
enum Then {
    Tried,
    Settled,
}

/// A lane.
pub struct Track<C> {
    pub lane: Lane,
    rounds: Rounds,
    comm: C,
    /// None: the library worker has it.
    state: Option<Box<State>>,
    doing: Doing,
    /// The job that the library worker has.
    number: u64,
    /// A job that was given up, and has not come back: the worker is stuck in it.
    stuck: Option<(String, Instant)>,
    /// What is to be done when it has come back.
    overdue: VecDeque<Job>,
    /// Whether the running round has gathered already.
    later: bool,
    tickets: Vec<(u64, Option<Identity>)>,
    recorded: Vec<Request>,
    /// Libraries that failed after a module had asked for them, by the module.
    lost: HashMap<Key, Failure>,
    /// Collectives so far.
    pub steps: u64,
    born: Instant,
    /// What rounds came to.
    #[cfg(test)]
    pub told: Vec<Arc<Report>>,
    /// When the running round began here.
    begun: Option<Instant>,
    /// In the running round Python was given up.
    gave_up: bool,
}

/// What a step of a lane leads to.
pub enum Event {
    Tell(u32, Word),
    /// Another lane has something to do.
    Want(Lane),
    /// A round is over.
    Over,
    Broken(CommError),
}

impl<C: Comm> Track<C> {
    pub fn new(lane: Lane, rounds: Rounds, comm: C, state: State) -> Self {
        Track {
            lane,
            rounds,
            comm,
            state: Some(Box::new(state)),
            doing: Doing::Nothing,
            number: 0,
            stuck: None,
            overdue: VecDeque::new(),
            later: false,
            tickets: Vec::new(),
            recorded: Vec::new(),
            lost: HashMap::new(),
            steps: 0,
            born: Instant::now(),
            #[cfg(test)]
            told: Vec::new(),
            begun: None,
            gave_up: false,
        }
    }

    /// Whether it is in no round.
    pub fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Nothing)
    }

    /// Whether it waits for other ranks, and since when.
    pub fn waits(&self) -> Option<Instant> {
        match self.doing {
            Doing::Collective { since } => Some(since),
            _ => None,
        }
    }

    pub fn phase(&self) -> Phase {
        self.rounds.round().map_or(Phase::Agree, crate::round::Round::phase)
    }

    pub fn subject(&self) -> String {
        self.rounds.round().map(crate::round::Round::subject).unwrap_or_default()
    }

    /// What keeps this rank, for others that wait; empty where it waits itself.
    pub fn says(&self) -> String {
        let told = |since: &Instant, what: &str| format!("{what}, for {} s", since.elapsed().as_secs());
        match &self.doing {
            Doing::Nothing | Doing::Collective { .. } => String::new(),
            Doing::Libraries { since, what, .. } => told(since, what),
            Doing::Python { since, batch, .. } => match batch.doing() {
                Some((job, since)) => told(&since, &format!("in the import of `{}`", job.name())),
                None => told(since, "in an import"),
            },
            Doing::Natives { since, .. } => told(since, "waits for libraries that a module has asked for"),
        }
    }

    /// Something was recorded, or asked for.
    pub fn want(&mut self, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        if !self.is_idle() {
            return;
        }
        self.refuse(shared, served);
        let has_pending = self.stuck.is_none() && shared.has_pending(self.lane);
        if has_pending || served.tickets.has_syncs(self.lane) {
            let acts = self.rounds.want();
            self.act(acts, shared, served, events);
        }
    }

    /// Another rank says something about the lane.
    pub fn hear(&mut self, word: Word, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        let acts = self.rounds.hear(word);
        self.act(acts, shared, served, events);
    }

    /// Goes on as far as it can without waiting; true if it did.
    pub fn step(
        &mut self,
        shared: &Arc<Shared>,
        served: &Served,
        native_is_idle: bool,
        events: &mut Vec<Event>,
    ) -> bool {
        let given = match &mut self.doing {
            Doing::Collective { .. } => match self.comm.test() {
                Ok(Some(reply)) => Given::Collective(reply),
                Ok(None) => return false,
                Err(error) => {
                    events.push(Event::Broken(error));
                    return true;
                }
            },
            Doing::Python { batch, items, then, .. } => {
                if !batch.step(shared) {
                    return false;
                }
                let failed = std::mem::take(&mut batch.failed);
                match then {
                    Then::Settled => Given::Job(Local(Done::Settled)),
                    Then::Tried if native_is_idle && !shared.has_pending(Lane::Native) => {
                        let items = std::mem::take(items);
                        self.tried(shared, failed, &items)
                    }
                    Then::Tried => {
                        let items = std::mem::take(items);
                        let ticket = served.tickets.open_sync(Lane::Native);
                        events.push(Event::Want(Lane::Native));
                        self.doing = Doing::Natives { since: Instant::now(), ticket, failed, items };
                        return true;
                    }
                }
            }
            Doing::Natives { ticket, failed, items, .. } => {
                if served.tickets.look(*ticket).is_none() {
                    return false;
                }
                served.tickets.close(*ticket);
                let (failed, items) = (std::mem::take(failed), std::mem::take(items));
                self.tried(shared, failed, &items)
            }
            Doing::Nothing | Doing::Libraries { .. } => return false,
        };
        self.give(given, shared, served, events);
        true
    }

    /// The library worker is back with a job.
    pub fn worked(&mut self, result: worker::Result, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        let worker::Result { number, state, done, gathered } = result;
        if self.stuck.take().is_some() {
            // Nobody waits for the outcome any more: it was told as a failure, and is undone; then what was left for later.
            match self.overdue.pop_front() {
                Some(job) => {
                    self.number += 1;
                    self.stuck = Some(("doing what it could not do before".into(), Instant::now()));
                    let work = Work::Round(job);
                    served.hands.give(Errand { shared: shared.clone(), number: self.number, state, work });
                }
                None => {
                    self.state = Some(state);
                    self.want(shared, served, events);
                }
            }
            return;
        }
        if number != self.number {
            self.state = Some(state);
            return;
        }
        if let Some(Gathered { means, recorded, .. }) = gathered {
            self.took(means, recorded);
        }
        self.state = Some(state);
        self.give(Given::Job(Local(done)), shared, served, events);
    }

    fn took(&mut self, means: Vec<(u64, Option<Identity>)>, recorded: Vec<Request>) {
        for (ticket, means) in means {
            match self.tickets.iter_mut().find(|(known, _)| *known == ticket) {
                Some((_, known)) => *known = means,
                None => self.tickets.push((ticket, means)),
            }
        }
        self.recorded.extend(recorded);
    }

    /// Jobs that take longer than the session's deadline fail on this rank, and the round goes on without them.
    pub fn check_deadline(
        &mut self,
        limit: Option<Duration>,
        shared: &Arc<Shared>,
        served: &Served,
        events: &mut Vec<Event>,
    ) {
        let Some(limit) = limit else { return };
        let is_late = |since: &Instant| since.elapsed() >= limit;
        let given = match &mut self.doing {
            Doing::Libraries { since, what, late } if is_late(since) && !matches!(late, Late::Wait) => {
                let text = format!("{what}, and not done within {limit:?}");
                self.stuck = Some((what.clone(), *since));
                match std::mem::replace(late, Late::Wait) {
                    Late::Gather(taken) => {
                        // Before anything else that this rank has recorded since.
                        lock(&shared.pending).splice(..0, taken);
                        self.refuse(shared, served);
                        Given::Job(Local(Done::Gathered(Default::default())))
                    }
                    Late::Fail(phase, batch) => {
                        let undo = self
                            .rounds
                            .round()
                            .map(|round| batch.iter().filter_map(|&index| round.item_at(index)).cloned().collect());
                        let (commit, undo) = (Vec::new(), undo.unwrap_or_default());
                        self.overdue.push_back(Job::Settle { commit, undo, growth: Growth::Unknown });
                        Given::Job(Local(self.failed(phase, batch, &text, shared)))
                    }
                    Late::Wait => return,
                }
            }
            // What is at its place since then, and not the whole batch: work is not waiting.
            Doing::Python { since, batch, items, then }
                if is_late(&batch.doing().map_or(*since, |(_, since)| since)) =>
            {
                batch.give_up(shared, |job, begun| {
                    let name = job.name();
                    let text = match begun {
                        true => format!("the import worker was not done within {limit:?}: the body of `{name}` still runs, or waits for something; or another thread is in its import, or holds the GIL"),
                        false => format!("the import worker did not get to `{name}` within {limit:?}: it may be stuck in an earlier import, or another thread hold the GIL"),
                    };
                    Failure::import(text, None)
                });
                let (failed, items) = (std::mem::take(&mut batch.failed), std::mem::take(items));
                self.gave_up = true;
                match then {
                    Then::Settled => Given::Job(Local(Done::Settled)),
                    Then::Tried => self.tried(shared, failed, &items),
                }
            }
            _ => return,
        };
        self.give(given, shared, served, events);
    }

    /// What of a batch the library worker does not do.
    fn failed(&self, phase: Phase, batch: Vec<u32>, text: &str, shared: &Shared) -> Done {
        let failed = batch.into_iter().map(|index| (index, Failure::new(phase, text))).collect();
        Done::Tried { failed, more: shared.more(Some(self.lane)), shapes: Shapes::default() }
    }

    /// What the library worker is stuck in, in words.
    pub fn stuck_in(&self) -> Option<String> {
        let (what, since) = self.stuck.as_ref()?;
        Some(format!("the library worker is still {what}, since {} s", since.elapsed().as_secs()))
    }

    /// While the library worker is stuck no round takes what this rank asks for: who waits for it is told so. What is only
    /// recorded waits until the worker is back.
    fn refuse(&mut self, shared: &Shared, served: &Served) {
        let Some(text) = self.stuck_in() else { return };
        let asked: Vec<Pending> = lock(&shared.pending)
            .extract_if(.., |pending| pending.request.lane() == self.lane && pending.ticket.is_some())
            .collect();
        let answers: Vec<(u64, _)> = asked
            .into_iter()
            .filter_map(|pending| {
                let failure = Failure::new(Phase::Resolve, text.clone());
                Some((pending.ticket?, Err(CallError::Undone(report::refused(shared, &pending.request, failure)))))
            })
            .collect();
        self.tickets.retain(|(ticket, _)| answers.iter().all(|(answered, _)| answered != ticket));
        served.tickets.answer(answers);
    }

    /// What Python came to; libraries that its modules have asked for count.
    fn tried(&mut self, shared: &Shared, mut failed: Vec<(u32, Failure)>, items: &[(u32, Item)]) -> Given {
        for (index, item) in items {
            failed.extend(self.lost.remove(&item.place_key()).map(|failure| (*index, failure)));
        }
        let more = shared.more(Some(self.lane));
        Given::Job(Local(Done::Tried { failed, more, shapes: Shapes::default() }))
    }

    fn give(&mut self, given: Given, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        self.doing = Doing::Nothing;
        let acts = self.rounds.given(given);
        self.act(acts, shared, served, events);
    }

    fn act(&mut self, acts: Vec<Act>, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        for act in acts {
            match act {
                Act::Tell { to, word } => events.push(Event::Tell(to, word)),
                Act::Ask(Ask::Collective(collective)) => {
                    self.steps += 1;
                    self.doing = Doing::Collective { since: Instant::now() };
                    if let Err(error) = self.comm.start(collective) {
                        events.push(Event::Broken(error));
                    }
                }
                Act::Ask(Ask::Job(job)) => self.job(job, shared, served, events),
                Act::Ask(Ask::Done(outcome)) => {
                    self.finish(outcome, shared, served, events);
                    let acts = self.rounds.again();
                    self.act(acts, shared, served, events);
                    self.want(shared, served, events);
                }
            }
        }
    }

    fn job(&mut self, job: Job, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        let work = match job {
            Job::Gather => {
                let later = std::mem::replace(&mut self.later, true);
                if !later {
                    self.begun = Some(Instant::now());
                }
                if !later {
                    self.tickets.extend(served.tickets.take_syncs(self.lane).into_iter().map(|ticket| (ticket, None)));
                }
                if self.stuck.is_some() {
                    self.refuse(shared, served);
                    return self.give(Given::Job(Local(Done::Gathered(Default::default()))), shared, served, events);
                }
                let taken = shared.take_pending(Some(self.lane), later);
                self.tickets.extend(taken.iter().filter_map(|pending| Some((pending.ticket?, None))));
                if self.lane == Lane::Python {
                    let Some(state) = self.state.as_mut() else { return };
                    let Gathered { plan, means, recorded } = jobs::gather(shared, state, taken);
                    self.took(means, recorded);
                    return self.give(Given::Job(Local(Done::Gathered(plan))), shared, served, events);
                }
                if taken.is_empty() {
                    // Nothing to look at.
                    return self.give(Given::Job(Local(Done::Gathered(Default::default()))), shared, served, events);
                }
                Work::Gather(taken)
            }
            job => Work::Round(job),
        };
        match (self.lane, work) {
            (Lane::Native, work) => self.libraries(work, shared, served, events),
            (Lane::Python, Work::Round(job)) => self.python(job, shared, served, events),
            (Lane::Python, Work::Gather(_)) => {}
        }
    }

    fn libraries(&mut self, work: Work, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        let (what, late) = match &work {
            Work::Gather(taken) => ("looking for files".to_string(), Late::Gather(taken.clone())),
            Work::Round(Job::Stage(items)) => (about("looking for", items), Late::Fail(Phase::Stage, indices(items))),
            Work::Round(Job::Open(items)) => (about("opening", items), Late::Fail(Phase::Open, indices(items))),
            Work::Round(_) => ("making libraries visible".to_string(), Late::Wait),
        };
        match (self.state.take(), work, late) {
            (Some(state), work, late) => {
                self.number += 1;
                self.doing = Doing::Libraries { since: Instant::now(), what, late };
                served.hands.give(Errand { shared: shared.clone(), number: self.number, state, work });
            }
            (None, _, Late::Fail(phase, batch)) => {
                let text = self.stuck_in().unwrap_or_else(|| "the library worker is busy".into());
                let done = self.failed(phase, batch, &text, shared);
                self.give(Given::Job(Local(done)), shared, served, events);
            }
            (None, work, _) => {
                // Nothing was committed that this rank has failed; what earlier passes have is seen to later.
                if let Work::Round(job) = work {
                    self.overdue.push_back(job);
                }
                self.give(Given::Job(Local(Done::Settled)), shared, served, events);
            }
        }
    }

    fn python(&mut self, job: Job, shared: &Arc<Shared>, served: &Served, events: &mut Vec<Event>) {
        let Some(state) = self.state.as_mut() else { return };
        let since = Instant::now();
        let has_python = served.hands.has_python();
        match job {
            Job::Import(items) if !has_python => {
                let skip = |(index, _): &(u32, Item)| {
                    (*index, Failure::new(Phase::Skip, "this process has no Python to import with"))
                };
                let failed: Vec<(u32, Failure)> = items.iter().map(skip).collect();
                let given = self.tried(shared, failed, &[]);
                self.give(given, shared, served, events);
            }
            Job::Import(items) => {
                let (works, failed) = imports::of_batch(&items);
                let batch = Box::new(Batch::new(works, failed));
                self.doing = Doing::Python { since, batch, items, then: Then::Tried };
            }
            Job::Settle { commit, undo, growth } => {
                let works = jobs::settle(shared, state, &commit, &undo, &growth);
                let works = if has_python { works.into_iter().map(Into::into).collect() } else { Default::default() };
                self.settle(works, shared, served, events);
            }
            Job::Conclude { revoke } => {
                jobs::conclude(shared, state, &revoke);
                let works = if has_python { imports::to_revoke(revoke) } else { Default::default() };
                self.settle(works, shared, served, events);
            }
            // The lane has no libraries, and gathers in its own way.
            Job::Stage(_) | Job::Open(_) | Job::Gather => {
                self.give(Given::Job(Local(Done::Settled)), shared, served, events);
            }
        }
    }

    /// What Python does about a verdict is waited for, unless it is stuck: then it comes to that when it is back.
    fn settle(
        &mut self,
        works: VecDeque<imports::Work>,
        shared: &Arc<Shared>,
        served: &Served,
        events: &mut Vec<Event>,
    ) {
        let mut batch = Box::new(Batch::new(works, Vec::new()));
        if self.gave_up {
            batch.give_up(shared, |job, _| Failure::import(job.name(), None));
            return self.give(Given::Job(Local(Done::Settled)), shared, served, events);
        }
        let (since, items) = (Instant::now(), Vec::new());
        self.doing = Doing::Python { since, batch, items, then: Then::Settled };
    }

    /// A round is over: whoever waits for it is told.
    fn finish(
        &mut self,
        outcome: Result<Report, WireError>,
        shared: &Arc<Shared>,
        served: &Served,
        events: &mut Vec<Event>,
    ) {
        self.later = false;
        self.gave_up = false;
        let tickets = std::mem::take(&mut self.tickets);
        let recorded = std::mem::take(&mut self.recorded);
        events.push(Event::Over);
        let report = match outcome {
            Ok(report) => Arc::new(report),
            Err(error) => {
                let error = CallError::from(error);
                return served.tickets.answer(tickets.into_iter().map(|(ticket, _)| (ticket, Err(error.clone()))));
            }
        };
        #[cfg(test)]
        self.told.push(report.clone());
        served.tickets.learn(&report);
        if !report.items.is_empty() && program::wants_report() {
            served.keep(self.past(shared, &report));
        }
        program::failed(report::failed(shared, &report));
        for (item, verdict) in &report.items {
            let Verdict::Undone(causes) = verdict else { continue };
            let Some(first) = causes.first() else { continue };
            let text = format!("it asks for `{}`: {}: {}", item.name(), first.ranks, first.failure.message);
            for asker in item.asked_by.iter().filter(|_| self.lane == Lane::Native) {
                self.lost.insert(*asker, Failure::new(first.failure.phase, text.clone()));
            }
        }
        for undone in report::unheard(shared, &recorded, &report) {
            served.hands.say(program::heard(&undone));
        }
        let answer = |(ticket, means)| (ticket, Ok(Answer { report: report.clone(), means }));
        served.tickets.answer(tickets.into_iter().map(answer));
    }

    fn past(&self, shared: &Shared, report: &Report) -> Past {
        let lane = match self.lane {
            Lane::Native => "native",
            Lane::Python => "python",
        };
        let begun = self.begun.unwrap_or(self.born);
        let at = (begun - self.born).as_secs_f64();
        Past { lane, at, took: begun.elapsed().as_secs_f64(), items: report::past_items(shared, report) }
    }

    /// What modules have asked for, and failed.
    pub fn take_lost(&mut self) -> HashMap<Key, Failure> {
        std::mem::take(&mut self.lost)
    }

    /// What libraries have failed that modules had asked for.
    pub fn hear_lost(&mut self, lost: HashMap<Key, Failure>) {
        self.lost.extend(lost);
    }

    /// What remains when the session is over.
    pub fn into_comm(self) -> C {
        self.comm
    }
}

fn indices(items: &[(u32, Item)]) -> Vec<u32> {
    items.iter().map(|(index, _)| *index).collect()
}

/// "opening `libx.so` and 2 more".
fn about(doing: &str, items: &[(u32, Item)]) -> String {
    let of = |item: &Item| match &item.what {
        What::Callback(_) => format!("callback `{}`", item.name()),
        _ => format!("`{}`", item.name()),
    };
    match items {
        [] => doing.into(),
        [(_, item)] => format!("{doing} {}", of(item)),
        [(_, item), rest @ ..] => format!("{doing} {} and {} more", of(item), rest.len()),
    }
}
