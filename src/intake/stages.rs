//! What comes after what on a file's way in. Pure: no clock, no disk.

use std::time::Duration;

use crate::error::Kind;
use crate::offer::Stage;

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Done,
    /// The file is the reason why it does not: damaged, not music, against a rule, gone.
    Unfit,
    /// The machine is the reason.
    Trouble(Kind),
}

/// What happens now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The file is at this stage.
    To(Stage),
    /// The same stage again, after a while; the files behind it wait, for they would fare no better.
    Again(Duration),
    /// Behind the others.
    Later,
}

/// Returns what follows a stage. `tries` counts the trouble since the stage before.
pub fn next(stage: Stage, outcome: Outcome, tries: u32) -> Next {
    match outcome {
        Outcome::Done => Next::To(match stage {
            Stage::Offered => Stage::Staged,
            Stage::Staged => Stage::Verified,
            Stage::Verified => Stage::Tagged,
            Stage::Tagged => Stage::Stored,
            Stage::Stored | Stage::Refused => stage,
        }),
        Outcome::Unfit => Next::To(Stage::Refused),
        Outcome::Trouble(Kind::Stopped) => Next::Later,
        // A disk comes back, and room is made.
        Outcome::Trouble(Kind::Offline | Kind::Full) => Next::Again(delay(tries)),
        Outcome::Trouble(_) if tries < MOST_TRIES => Next::Again(delay(tries)),
        Outcome::Trouble(_) => Next::Later,
    }
}

/// Returns when a file that went behind the others is tried again; `times` counts how often it did.
pub fn behind(times: u32) -> Duration {
    LONGEST_DELAY.saturating_mul(1 << times.min(16)).min(LONGEST_BEHIND)
}

/// Doubles from the first delay to the longest.
fn delay(tries: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << tries.min(16)).min(LONGEST_DELAY)
}

/// What lies where after a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The part file is there.
    pub part: bool,
    /// For a file of the drop folder: whether it lies there under its name. `None` for one that comes from a neighbour.
    pub inbox: Option<bool>,
    /// The shelf has it.
    pub shelved: bool,
    /// What is missing can be fetched from a neighbour.
    pub resumes: bool,
}

/// What a start does with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtStart {
    /// It waits for its neighbour.
    Wait,
    /// It goes to the worker.
    Work,
    /// The file is moved in from the drop folder once more.
    TakeAgain,
    /// It was stored; only its row does not say so.
    Shelved,
    /// Its bytes are nowhere.
    Gone,
}

/// Returns what a start does with an open row.
pub fn at_start(stage: Stage, found: Found) -> AtStart {
    match (stage, found) {
        (_, Found { shelved: true, part: false, .. }) => AtStart::Shelved,
        // The rename is what makes a file of the drop folder ours, whole.
        (Stage::Offered, Found { inbox: None, resumes: true, .. }) => AtStart::Wait,
        // Its sender was never told that it is here, and sends it anew.
        (Stage::Offered, Found { inbox: None, resumes: false, .. }) => AtStart::Gone,
        (_, Found { part: true, .. }) => AtStart::Work,
        (_, Found { inbox: Some(true), .. }) => AtStart::TakeAgain,
        (_, Found { part: false, .. }) => AtStart::Gone,
    }
}

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Trouble of an unknown kind holds up the files behind it this often, about seven seconds.
const MOST_TRIES: u32 = 3;
const LONGEST_BEHIND: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_stage_leads_to_the_shelf_or_out() {
        let mut stage = Stage::Offered;
        let mut way = vec![stage];
        while stage != Stage::Stored {
            assert_eq!(next(stage, Outcome::Unfit, 0), Next::To(Stage::Refused));
            let Next::To(to) = next(stage, Outcome::Done, 0) else { panic!("{stage:?} goes on") };
            assert!(to > stage);
            stage = to;
            way.push(stage);
        }
        assert_eq!(way.len(), 5);
    }

    #[test]
    fn a_disk_that_is_away_is_waited_for_and_a_riddle_is_not() {
        assert_eq!(
            next(Stage::Tagged, Outcome::Trouble(Kind::Offline), 1000),
            Next::Again(Duration::from_secs(60))
        );
        assert_eq!(next(Stage::Tagged, Outcome::Trouble(Kind::Full), 0), Next::Again(Duration::from_secs(1)));
        assert_eq!(
            next(Stage::Tagged, Outcome::Trouble(Kind::Internal), 2),
            Next::Again(Duration::from_secs(4))
        );
        assert_eq!(next(Stage::Tagged, Outcome::Trouble(Kind::Internal), MOST_TRIES), Next::Later);
        assert_eq!(next(Stage::Staged, Outcome::Trouble(Kind::Stopped), 0), Next::Later);
    }

    #[test]
    fn a_start_finds_every_file_wherever_the_power_cut_left_it() {
        let pull = |part, shelved| Found { part, inbox: None, shelved, resumes: true };
        let push = |part| Found { resumes: false, ..pull(part, false) };
        let inbox = |part, lies| Found { part, inbox: Some(lies), shelved: false, resumes: false };
        for (stage, found, want) in [
            (Stage::Offered, pull(true, false), AtStart::Wait),
            (Stage::Offered, pull(false, false), AtStart::Wait),
            (Stage::Offered, push(true), AtStart::Gone),
            (Stage::Staged, push(true), AtStart::Work),
            (Stage::Staged, pull(true, false), AtStart::Work),
            (Stage::Tagged, pull(true, false), AtStart::Work),
            (Stage::Tagged, pull(false, true), AtStart::Shelved),
            (Stage::Verified, pull(false, false), AtStart::Gone),
            (Stage::Offered, inbox(true, false), AtStart::Work),
            (Stage::Offered, inbox(false, true), AtStart::TakeAgain),
            (Stage::Staged, inbox(false, true), AtStart::TakeAgain),
            (Stage::Staged, inbox(true, true), AtStart::Work),
            (Stage::Offered, inbox(false, false), AtStart::Gone),
        ] {
            assert_eq!(at_start(stage, found), want, "{stage:?} {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_ever_given_up(part in any::<bool>(), lies in any::<bool>(), shelved in any::<bool>(), resumes in any::<bool>()) {
            for stage in [Stage::Offered, Stage::Staged, Stage::Verified, Stage::Tagged] {
                for inbox in [None, Some(lies)] {
                    let does = at_start(stage, Found { part, inbox, shelved, resumes });
                    let half = stage == Stage::Offered && inbox.is_none() && !resumes;
                    prop_assert!(does != AtStart::Gone || half || (!part && inbox != Some(true) && !shelved));
                }
            }
        }
    }
}
