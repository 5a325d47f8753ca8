//! The way of a request as a state machine: it asks for one collective or one local job at a time, and is given the
//! answer. It does no I/O, calls no MPI, opens nothing, and never waits.
//!
//! Every rank runs the same sequence of collectives because every branch that leads to one is taken on agreed values
//! alone; what is rank-local is an argument of the next collective, never a condition. The exception is a rank's share
//! of a collective (its words, its bytes), which is what a collective is for.
//!
//! # Layout
//! In the order of flow; a file a phase.
//! - `agree` are the recorded sets empty, equal, held by one rank, or different? Then the plan
//! - `stage` has every rank the same file? (not asked when the sets were equal: then their identities were)
//! - `load` what to open or import
//! - `decide` outcomes of all ranks become one verdict per item; this is the barrier
//! - `commit` what succeeded everywhere becomes visible, the rest is undone; then again, until nothing is left

mod agree;
mod commit;
mod decide;
mod load;
mod stage;

use crate::comm::{Agreed, Collective, Local, Reply};
use crate::error::Phase;
use crate::outcome::{Failure, Failures, Verdict};
use crate::plan::{Item, Plan};
use crate::ranks::RankSet;
use crate::task::Shapes;
use crate::wire::WireError;

/// Passes of one call, after which what is still asked for is refused: a callback that always asks for another.
pub const MOST_PASSES: u32 = 1000;

/// What the machine wants next.
pub enum Ask {
    /// Start this collective, give back what it came to.
    Collective(Collective),
    /// Do this on this rank, give back how it went.
    Job(Job),
    /// Finished; the same on every rank.
    Done(Result<Report, WireError>),
}

/// Work on this rank. Items carry their index in the plan.
pub enum Job {
    /// Take what is recorded on this rank and find out what it is.
    Gather,
    /// Is there a file of this identity? Nothing is opened.
    Stage(Vec<(u32, Item)>),
    /// Open, invisibly to others (RTLD_LOCAL), read plugin tables, run native callbacks.
    Open(Vec<(u32, Item)>),
    /// Import modules, run Python callbacks.
    Import(Vec<(u32, Item)>),
    /// Make visible, or undo.
    Settle {
        /// On every rank, all went well.
        commit: Vec<Item>,
        /// Opened or imported here, but failed elsewhere.
        undo: Vec<Item>,
        /// What became of the plugins that were there before.
        growth: Growth,
    },
    /// The last of a call: what was committed is registered, but for these, whose own requests failed.
    Conclude {
        /// Committed in an earlier pass of this round, and undone after all.
        revoke: Vec<Item>,
    },
}

/// Whether callbacks have added to older plugins, and the same on every rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Nothing was agreed on.
    Unknown,
    /// The same everywhere: it becomes visible.
    Agreed,
    /// Not the same: the notes of those that differ, which never grow again. The others wait for the next time.
    Differs(Vec<String>),
}

/// What was recorded while a job ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// For this round: another pass.
    pub here: bool,
    /// For the other lane, where lanes have rounds of their own.
    pub beyond: bool,
}

/// How a job went.
pub enum Done {
    /// Of [`Job::Gather`].
    Gathered(Plan),
    /// Of [`Job::Stage`], [`Job::Open`] and [`Job::Import`]: what failed, by index. `more`: something was recorded
    /// meanwhile.
    Tried {
        /// What did not work.
        failed: Vec<(u32, Failure)>,
        /// Whether this rank has recorded something that is in no plan yet.
        more: More,
        /// What plugins have registered here; of [`Job::Open`].
        shapes: Shapes,
    },
    /// Of [`Job::Settle`] and [`Job::Conclude`].
    Settled,
}

/// The answer to an [`Ask`].
pub enum Given {
    /// To begin with.
    Start,
    /// To [`Ask::Collective`].
    Collective(Agreed<Reply>),
    /// To [`Ask::Job`].
    Job(Local<Done>),
}

/// What a whole round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every item of every pass, in order, with its verdict.
    pub items: Vec<(Item, Verdict)>,
    /// Passes until nothing was left; the last one, which finds nothing, does not count.
    pub rounds: u32,
    /// Some rank has recorded something for the other lane.
    pub beyond: bool,
    /// Items that these ranks have left out, because they have no Python.
    pub skipped: Vec<(Item, RankSet)>,
}

/// What is awaited.
enum State {
    Begin,
    Gathering,
    Agreeing,
    Exchanging { merged: bool },
    Staging,
    StageVote,
    StageCauses,
    Loading,
    DecideVote,
    DecideCauses,
    Settling,
    Concluding,
    Confirming,
    Finished,
}

/// One round of one rank.
pub struct Round {
    rank: u32,
    size: u32,
    serial: u64,
    state: State,
    /// Before agreement this rank's own set, afterwards the plan.
    plan: Plan,
    /// The failures of this rank in the running phase.
    mine: Failures,
    /// What plugins have registered on this rank, should it not be the same everywhere.
    notes: Vec<(u32, Failure)>,
    /// What is known of plugins of earlier rounds.
    growth: Growth,
    /// The agreed verdicts so far, by index into the plan.
    verdicts: Vec<Option<Verdict>>,
    /// What is being loaded: a lane's share of the plan, by index.
    batch: Vec<u32>,
    /// Why the round ends without a report, once what is open has been undone.
    failed: Option<WireError>,
    /// This rank recorded something meanwhile.
    more: More,
    /// Whether it ends with a barrier: in service mode others may use the result without having been in the call.
    confirms: bool,
    /// Any rank did.
    again: bool,
    report: Report,
    /// What its items are called, the same on every rank.
    names: Vec<String>,
    /// The plan was exchanged, so that it is the same to the letter.
    travelled: bool,
    /// Put-back fault of the tests: a rank with a failure of its own leaves the collective out.
    #[cfg(test)]
    pub skip_vote_on_failure: bool,
    /// Another: a rank whose own plugins have registered nothing new leaves the comparison out.
    #[cfg(test)]
    pub skip_compare_when_unchanged: bool,
}

impl Round {
    /// A round of rank `rank` of `size`. `serial` is the same on every rank: it counts the rounds of a session, and a
    /// rank that is in another one is found out by it.
    pub fn new(rank: u32, size: u32, serial: u64) -> Self {
        Round {
            rank,
            size,
            serial,
            state: State::Begin,
            plan: Plan::default(),
            mine: Failures::default(),
            notes: Vec::new(),
            growth: Growth::Unknown,
            verdicts: Vec::new(),
            batch: Vec::new(),
            failed: None,
            more: More::default(),
            confirms: false,
            again: false,
            report: Report::default(),
            names: Vec::new(),
            travelled: false,
            #[cfg(test)]
            skip_vote_on_failure: false,
            #[cfg(test)]
            skip_compare_when_unchanged: false,
        }
    }

    /// The same with a barrier at its end: when it is over, every rank has registered what it committed.
    #[must_use]
    pub fn confirmed(self) -> Self {
        Round { confirms: true, ..self }
    }

    /// The phase in which this rank would be waiting.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Begin | State::Gathering | State::Agreeing => Phase::Agree,
            State::Exchanging { .. } => Phase::Exchange,
            State::Staging | State::StageVote | State::StageCauses => Phase::Stage,
            State::Loading | State::DecideVote | State::DecideCauses => Phase::Decide,
            State::Settling | State::Concluding | State::Confirming | State::Finished => Phase::Commit,
        }
    }

    /// What it would be waiting for: "`libheat.so` and 2 more". Before the plan is agreed, what this rank wants.
    pub fn subject(&self) -> String {
        let Some(first) = self.plan.items.first() else { return String::new() };
        match self.plan.items.len() - 1 {
            0 => format!("`{}`", first.name()),
            more => format!("`{}` and {more} more", first.name()),
        }
    }

    /// Takes the answer to the last ask and returns the next. After [`Ask::Done`] it must not be called again.
    pub fn step(&mut self, given: Given) -> Ask {
        match (std::mem::replace(&mut self.state, State::Finished), given) {
            (State::Begin, Given::Start) => self.gather(),
            (State::Gathering, Given::Job(Local(Done::Gathered(plan)))) => self.agree(plan),
            (State::Agreeing, Given::Collective(words)) => self.classify(words),
            (State::Exchanging { merged }, Given::Collective(bytes)) => self.adopt(bytes, merged),
            (State::Staging, Given::Job(Local(Done::Tried { failed, .. }))) => self.stage_vote(failed),
            (State::StageVote, Given::Collective(words)) => self.stage_counted(words),
            (State::StageCauses, Given::Collective(bytes)) => self.staged(bytes),
            (State::Loading, Given::Job(Local(Done::Tried { failed, more, shapes }))) => {
                self.decide_vote(failed, more, shapes)
            }
            (State::DecideVote, Given::Collective(words)) => self.decide_counted(words),
            (State::DecideCauses, Given::Collective(bytes)) => self.decided(bytes),
            (State::Settling, Given::Job(Local(Done::Settled))) => self.settled(),
            (State::Concluding, Given::Job(Local(Done::Settled))) => self.concluded(),
            (State::Confirming, Given::Collective(_)) => self.end(),
            // A driver that answers another question than the one that was asked has a bug; every rank's driver is
            // the same code, so every rank ends here.
            _ => Ask::Done(Err(WireError::Malformed("an answer to another question"))),
        }
    }

    fn ask_collective(&mut self, state: State, collective: Collective) -> Ask {
        self.state = state;
        Ask::Collective(collective)
    }

    fn ask_job(&mut self, state: State, job: Job) -> Ask {
        self.state = state;
        Ask::Job(job)
    }

    /// Ends the round the same way on every rank. What is open without a verdict is undone first.
    fn fail(&mut self, error: WireError) -> Ask {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            self.state = State::Finished;
            return Ask::Done(Err(error));
        }
        self.failed = Some(error);
        let undo = batch.iter().filter_map(|&index| self.item(index)).cloned().collect();
        self.ask_job(State::Settling, Job::Settle { commit: Vec::new(), undo, growth: Growth::Unknown })
    }

    fn gather(&mut self) -> Ask {
        self.plan = Plan::default();
        self.ask_job(State::Gathering, Job::Gather)
    }

    /// Whether an item has no verdict yet.
    fn is_open(&self, index: u32) -> bool {
        matches!(self.verdicts.get(index as usize), Some(None))
    }

    /// An item that the round has asked somebody to do something about.
    pub fn item_at(&self, index: u32) -> Option<&Item> {
        self.item(index)
    }

    /// The item at an index that came from the plan itself.
    fn item(&self, index: u32) -> Option<&Item> {
        self.plan.items.get(index as usize)
    }

    /// Turns agreed failures of some items into verdicts.
    fn undo_failed(&mut self, failures: &Failures, which: impl Fn(u32) -> bool) {
        for (index, verdict) in (0..).zip(self.verdicts.iter_mut()) {
            let causes: Vec<_> = failures.causes.iter().filter(|cause| cause.item == index).cloned().collect();
            if verdict.is_none() && !causes.is_empty() && which(index) {
                *verdict = Some(Verdict::Undone(causes));
            }
        }
    }
}

/// Reads the failures of all ranks; every index must be one of the plan.
fn read_failures(reply: Agreed<Reply>, size: u32, items: usize) -> Result<Failures, WireError> {
    let failures: Failures = crate::wire::decode(&bytes(reply)?, size)?;
    if failures.is_empty() {
        // The vote has said that there is at least one.
        return Err(WireError::Malformed("failures were announced, and none arrived"));
    }
    match failures.causes.iter().all(|cause| (cause.item as usize) < items) {
        true => Ok(failures),
        false => Err(WireError::Malformed("a failure of an item that is not in the plan")),
    }
}

fn bytes(reply: Agreed<Reply>) -> Result<Vec<u8>, WireError> {
    match reply.into_inner() {
        Reply::Bytes(bytes) => Ok(bytes),
        Reply::Words(_) => Err(WireError::Malformed("words where bytes were due")),
    }
}

fn words<const N: usize>(reply: &Agreed<Reply>) -> Result<[u64; N], WireError> {
    match reply.get() {
        Reply::Words(words) => {
            words.as_slice().try_into().map_err(|_| WireError::Malformed("another number of words than was due"))
        }
        Reply::Bytes(_) => Err(WireError::Malformed("bytes where words were due")),
    }
}
