//! After the verdict: visible or undone on this rank; then the next lane, the next pass, or the end.

use super::{Ask, Round, State};

impl Round {
    /// The job has made the verdict true on this rank.
    pub(super) fn settled(&mut self) -> Ask {
        if let Some(error) = self.failed.take() {
            return self.fail(error);
        }
        // Open libraries are left only for a second try; otherwise this goes on to the modules.
        self.load_native()
    }

    /// Every item has its verdict. What jobs recorded meanwhile is the next pass; the agreement that it exists was
    /// part of the last vote.
    pub(super) fn end_pass(&mut self) -> Ask {
        let items = std::mem::take(&mut self.plan.items);
        let verdicts = std::mem::take(&mut self.verdicts);
        self.report.items.extend(items.into_iter().zip(verdicts).filter_map(|(item, verdict)| Some((item, verdict?))));
        if std::mem::take(&mut self.again) {
            return self.gather();
        }
        self.state = State::Finished;
        Ask::Done(Ok(std::mem::take(&mut self.report)))
    }
}
