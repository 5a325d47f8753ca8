//! One thread of a simulated process, a step at a time.

use super::super::protocol::Mail;
use super::process::{ModuleState, Process};
use super::run::Program;
use super::script::{Fault, Shim, Step, Wish};
use super::workers::Job;
use crate::outcome::Verdict;
use crate::plan::{Item, Key};
use crate::request::Lane;
use crate::session::Ended;

/// What a thread is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    Constructor(u32),
    Import(u32),
    Callback,
}

/// A thread.
pub struct Thread {
    pub number: usize,
    pub python: bool,
    /// What is left, the next step last.
    pub stack: Vec<Step>,
    pub inside: Vec<Inside>,
    /// What a worker is at.
    pub job: Option<Job>,
    /// Whose code the library worker runs: what is asked for there is asked for by it.
    pub asker: Option<Key>,
    /// The last opening or import did not work.
    pub failed: bool,
    /// What the worker has opened in this job.
    pub opened: Vec<u32>,
}

/// How a step went.
#[derive(PartialEq, Eq)]
pub enum Went {
    On,
    /// It cannot be done now.
    Blocked,
}

impl Thread {
    pub fn of_program(number: usize, python: bool, steps: Vec<Step>) -> Thread {
        let mut thread = Thread::worker(number, python);
        if python {
            thread.push(&[Step::DropGil]);
        }
        // The end of a thread's script, but for what the main thread does after it.
        thread.push(&steps);
        if python {
            thread.push(&[Step::TakeGil]);
        }
        thread
    }

    pub fn worker(number: usize, python: bool) -> Thread {
        let (stack, inside, opened) = (Vec::new(), Vec::new(), Vec::new());
        Thread { number, python, stack, inside, job: None, asker: None, failed: false, opened }
    }

    /// These are done next, in this order.
    pub fn push(&mut self, steps: &[Step]) {
        self.stack.extend(steps.iter().rev());
    }

    /// Does one thing. False: it can do nothing, or has nothing to do.
    pub fn step(&mut self, process: &mut Process, program: &mut Program) -> bool {
        let Some(step) = self.stack.pop() else { return self.work(process) };
        // Between two instructions the interpreter lets others have the GIL.
        if self.python
            && process.gil == Some(self.number)
            && process.gil_wanted
            && process.loader.is_none_or(|(owner, _)| owner != self.number)
            && !matches!(step, Step::LockLoader | Step::Opened(_) | Step::Request { .. } | Step::Await { .. })
            && program.random.bool()
        {
            self.stack.push(step);
            self.drop_gil(process);
            self.push(&[Step::TakeGil]);
            return true;
        }
        if self.carry_out(step, process, program) == Went::On {
            return true;
        }
        self.stack.push(step);
        false
    }

    fn drop_gil(&mut self, process: &mut Process) {
        if process.gil == Some(self.number) {
            process.gil = None;
            process.gil_wanted = false;
        }
    }

    /// A wait in dlcast or in MPI: Python lets others have the GIL.
    fn wait_without_gil(&mut self, process: &Process, steps: &[Step]) {
        if process.gil == Some(self.number) {
            self.push(&[Step::TakeGil]);
            self.push(steps);
            self.push(&[Step::DropGil]);
        } else {
            self.push(steps);
        }
    }

    fn carry_out(&mut self, step: Step, process: &mut Process, program: &mut Program) -> Went {
        match step {
            Step::Compute(left) => {
                if left > 1 {
                    self.push(&[Step::Compute(left - 1)]);
                }
            }
            Step::Send(tag) => {
                program.messages.insert(tag);
            }
            Step::Receive(tag) => self.wait_without_gil(process, &[Step::AwaitMessage(tag)]),
            Step::AwaitMessage(tag) if !program.messages.contains(&tag) => return Went::Blocked,
            Step::Barrier(number) => {
                *program.barriers.entry(number).or_default() += 1;
                self.wait_without_gil(process, &[Step::AwaitBarrier(number)]);
            }
            Step::AwaitBarrier(number) if program.barriers.get(&number) != Some(&program.size) => {
                return Went::Blocked;
            }
            Step::AwaitMessage(_) | Step::AwaitBarrier(_) => {}
            Step::Ask(wish) => self.ask(wish, process, program),
            Step::Record(wish) => self.record(wish, process, program),
            Step::Open(library) => {
                self.push(&[Step::LockLoader, Step::Construct(library), Step::UnlockLoader, Step::Opened(library)]);
            }
            Step::Import(module) => return self.import(module, process),
            Step::TakeGil => {
                if process.gil.is_some() {
                    process.gil_wanted = true;
                    return Went::Blocked;
                }
                process.gil = Some(self.number);
            }
            Step::DropGil => self.drop_gil(process),
            Step::LockLoader => match &mut process.loader {
                Some((owner, depth)) if *owner == self.number => *depth += 1,
                Some(_) => return Went::Blocked,
                free => *free = Some((self.number, 1)),
            },
            Step::UnlockLoader => {
                process.loader =
                    process.loader.filter(|(_, depth)| *depth > 1).map(|(owner, depth)| (owner, depth - 1));
            }
            Step::Construct(library) => self.construct(library, process, program),
            Step::Constructed(_) | Step::EndCallback => {
                self.inside.pop();
            }
            Step::Opened(library) => self.opened(library, process, program),
            Step::LockModule(module) => return self.lock_module(module, process, program),
            Step::AwaitModule(module) => {
                if process.modules.get(&module).is_some_and(|state| state.owner.is_some()) {
                    return Went::Blocked;
                }
                process.waits.remove(&self.number);
            }
            Step::EndModule(module) => self.end_module(module, process),
            Step::RunCallback(library, tag) => {
                *process.runs.entry(Wish::Callback(library, tag)).or_default() += 1;
                self.inside.push(Inside::Callback);
                self.push(&[Step::EndCallback]);
                self.push(&program.scenario.callbacks[tag as usize]);
            }
            Step::Request { wish, libraries_only } => {
                // Where the host is taken, one cannot know.
                if !(process.knows(wish) && program.random.bool()) {
                    let ticket = process.request(wish);
                    self.push(&[Step::Await { wish, ticket, libraries_only }]);
                }
            }
            Step::Await { wish, ticket, libraries_only } => {
                let tickets = &process.served().tickets;
                let Some(answer) = tickets.look(ticket) else { return Went::Blocked };
                tickets.close(ticket);
                match answer {
                    Ok(answer) => {
                        if wish.lane() == Lane::Native && answer.report.beyond && !libraries_only {
                            let ticket = process.request_python();
                            self.push(&[Step::AwaitPython { wish, ticket }]);
                        }
                        program.answers.push((process.rank, wish, answer.report));
                    }
                    Err(_) if program.scenario.deadlines => {}
                    Err(error) => program.wrong.push(format!("rank {}, {wish:?}: {error}", process.rank)),
                }
            }
            Step::AwaitPython { wish, ticket } => {
                let tickets = &process.served().tickets;
                let Some(answer) = tickets.look(ticket) else { return Went::Blocked };
                tickets.close(ticket);
                answer.unwrap_or_else(|error| panic!("{error}"));
                program.returned.push((process.rank, wish));
                if !program.scenario.deadlines {
                    self.check_python(wish, process, program);
                }
            }
            Step::Bind(module) => {
                if process.committed.contains(&Wish::Module(module)) {
                    self.push(&[Step::Import(module)]);
                }
            }
            Step::Leave => self.wait_without_gil(process, &[Step::Goodbye, Step::AwaitEnd]),
            // The program's other threads have ended by then.
            Step::Goodbye if process.busy > 1 => return Went::Blocked,
            Step::Goodbye => {
                process.busy = 0;
                process.tell(|session| Mail::Leave(session, Ended::Finalized));
            }
            Step::AwaitEnd if !process.is_over() => return Went::Blocked,
            Step::AwaitEnd => {}
            Step::Item(_) | Step::Outcome(_) | Step::Finish => return self.step_job(step, process, program),
        }
        if self.stack.is_empty() && self.number > 0 {
            process.busy -= 1;
        }
        Went::On
    }

    /// What constructors have asked Python for has been done when a call returns.
    fn check_python(&self, wish: Wish, process: &Process, program: &mut Program) {
        let told = &process.post.track(Lane::Python).told;
        let done = |what| {
            let is = |(item, _): &(Item, Verdict)| Wish::of(item) == what;
            told.iter().any(|report| report.items.iter().any(is))
        };
        let asked = program.asked.iter().filter(|(_, by, _)| *by == wish);
        let left: Vec<Wish> = asked.map(|(_, _, what)| *what).filter(|what| !done(*what)).collect();
        if process.committed.contains(&wish) && !left.is_empty() {
            program.wrong.push(format!(
                "rank {}: {wish:?} has returned before the modules {left:?}, which its constructors have asked for",
                process.rank
            ));
        }
    }

    /// Whether what is asked for here may be waited for.
    fn may_wait(&self, fault: Option<Fault>) -> bool {
        self.inside.iter().all(|inside| match inside {
            Inside::Constructor(_) => fault == Some(Fault::WaitInConstructor),
            Inside::Import(_) => fault == Some(Fault::WaitInImport),
            Inside::Callback => false,
        })
    }

    /// A blocking call.
    fn ask(&mut self, wish: Wish, process: &mut Process, program: &Program) {
        let request = Step::Request { wish, libraries_only: false };
        if self.may_wait(program.scenario.fault) {
            if let (Wish::Module(module), true) = (wish, process.gil == Some(self.number)) {
                self.push(&[Step::Bind(module)]);
            }
            return self.wait_without_gil(process, &[request]);
        }
        // What this rank has to do is done here. A module that a round's own import asks for is part of that.
        if !matches!((wish, &self.job), (Wish::Module(_), Some(Job::Import(_)))) {
            self.push(&[Step::Record(wish)]);
        }
        match wish {
            Wish::Library(library) => self.push(&[Step::LockLoader, Step::Construct(library), Step::UnlockLoader]),
            // (A constructor is no Python code.)
            Wish::Module(module)
                if process.gil == Some(self.number)
                    && !self.inside.iter().any(|inside| matches!(inside, Inside::Constructor(_))) =>
            {
                self.push(&[Step::Import(module)]);
            }
            _ => {}
        }
    }

    /// `Pending::here`: what the code that a round runs asks for belongs to that round.
    fn record(&mut self, wish: Wish, process: &mut Process, program: &mut Program) {
        let nested = self.job.is_some();
        let asked_by = self.asker;
        let by = self.inside.first().and_then(|inside| match inside {
            Inside::Constructor(library) => Some(Wish::Library(*library)),
            Inside::Import(module) => Some(Wish::Module(*module)),
            Inside::Callback => None,
        });
        if let (true, Some(by)) = (nested, by)
            && by.lane() != wish.lane()
        {
            program.asked.push((process.rank, by, wish));
        }
        process.record(wish, nested, asked_by);
    }

    fn construct(&mut self, library: u32, process: &mut Process, program: &Program) {
        self.failed = process.spec.lacks.contains(&library);
        if self.failed || !process.open.insert(library) {
            return;
        }
        *process.runs.entry(Wish::Library(library)).or_default() += 1;
        match self.job {
            Some(_) => self.opened.push(library),
            None => process.unseen.push(library),
        }
        self.inside.push(Inside::Constructor(library));
        self.push(&[Step::Constructed(library)]);
        self.push(&program.scenario.constructors[library as usize]);
    }

    /// The program's dlopen has returned to the shim.
    fn opened(&mut self, library: u32, process: &mut Process, program: &mut Program) {
        let wish = Wish::Library(library);
        if self.failed || program.scenario.shim == Shim::Absent || process.knows(wish) {
            return;
        }
        // CPython holds the GIL.
        let holds_loader = process.loader.is_some_and(|(owner, _)| owner == self.number);
        if program.scenario.shim == Shim::Eager && self.inside.is_empty() && !holds_loader {
            let libraries_only = program.scenario.fault != Some(Fault::ImportAtDlopen);
            self.push(&[Step::Request { wish, libraries_only }]);
        } else {
            self.record(wish, process, program);
        }
    }

    fn import(&mut self, module: u32, process: &mut Process) -> Went {
        let state = process.modules.entry(module).or_default();
        self.failed = false;
        if !state.loaded {
            self.push(&[Step::LockModule(module)]);
        }
        Went::On
    }

    fn lock_module(&mut self, module: u32, process: &mut Process, program: &Program) -> Went {
        let ModuleState { loaded, owner } = *process.modules.entry(module).or_default();
        match owner {
            None if loaded => {}
            None => {
                process.modules.insert(module, ModuleState { loaded, owner: Some(self.number) });
                self.inside.push(Inside::Import(module));
                self.push(&[Step::EndModule(module)]);
                self.push(&program.scenario.bodies[module as usize]);
            }
            // A circle of imports: what there is of it is good enough.
            Some(owner) if owner == self.number => {}
            Some(owner) if self.closes_a_circle(owner, process) => {}
            Some(_) => {
                process.waits.insert(self.number, module);
                self.push(&[Step::LockModule(module)]);
                self.wait_without_gil(process, &[Step::AwaitModule(module)]);
            }
        }
        Went::On
    }

    /// CPython's locks of modules notice when threads wait for each other's.
    fn closes_a_circle(&self, owner: usize, process: &Process) -> bool {
        let mut at = owner;
        while let Some(module) = process.waits.get(&at) {
            match process.modules.get(module).and_then(|state| state.owner) {
                Some(next) if next == self.number => return true,
                Some(next) if next != owner => at = next,
                _ => return false,
            }
        }
        false
    }

    fn end_module(&mut self, module: u32, process: &mut Process) {
        self.inside.pop();
        self.failed = process.spec.raises.contains(&module);
        process.modules.insert(module, ModuleState { loaded: !self.failed, owner: None });
        if !self.failed {
            *process.runs.entry(Wish::Module(module)).or_default() += 1;
        }
    }
}
