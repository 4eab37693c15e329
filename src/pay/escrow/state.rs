//! The life of an escrow as one pure function: state, event and now in, what changes out.
//!
//! held → released, refunded or disputed; disputed → released or refunded; the last two are final. An escrow whose time
//! is over takes no event but [`Event::Lapse`], whether anybody has noticed or not.

use chrono::{DateTime, TimeDelta, Utc};

/// How long a dispute may stay unanswered.
pub const DISPUTE_LIFETIME: TimeDelta = TimeDelta::days(7);

/// Where an escrow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The money waits.
    Held {
        /// Until then.
        expires_at: DateTime<Utc>,
    },
    /// The money waits for an answer to a dispute.
    Disputed {
        /// When it was raised.
        disputed_at: DateTime<Utc>,
    },
    /// The payee has the money.
    Released,
    /// The payer has it back.
    Refunded,
}

/// What somebody wants, or time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Release conditions are marked.
    Mark {
        /// Whether all of them have passed then.
        all_passed: bool,
    },
    /// The money is given back.
    Refund,
    /// Something is wrong.
    Dispute,
    /// Time passes.
    Lapse,
}

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing but the conditions.
    Marked,
    /// The money goes to the payee.
    Released,
    /// The money goes back, given by the payee.
    Refunded,
    /// The money goes back, because the escrow is over.
    Expired,
    /// The money goes back, because nobody answered the dispute.
    Unanswered,
    /// The dispute stands, and the escrow does not expire any more.
    Disputed,
}

/// Why nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The payee has the money.
    Released,
    /// The payer has it back.
    Refunded,
    /// It is disputed already.
    Disputed,
    /// Its time is over.
    Expired,
    /// Its time is not over yet.
    NotDue,
}

/// What the event does now.
///
/// # Errors
/// Why it does nothing.
pub fn step(state: State, event: Event, now: DateTime<Utc>) -> Result<Change, Refusal> {
    let due = match state {
        State::Held { expires_at } => (now >= expires_at).then_some(Change::Expired),
        State::Disputed { disputed_at } => {
            (now - disputed_at >= DISPUTE_LIFETIME).then_some(Change::Unanswered)
        }
        State::Released => return Err(Refusal::Released),
        State::Refunded => return Err(Refusal::Refunded),
    };
    match (event, due) {
        (Event::Lapse, Some(change)) => Ok(change),
        (Event::Lapse, None) => Err(Refusal::NotDue),
        (_, Some(_)) => Err(Refusal::Expired),
        (Event::Mark { all_passed: true }, None) => Ok(Change::Released),
        (Event::Mark { all_passed: false }, None) => Ok(Change::Marked),
        (Event::Refund, None) => Ok(Change::Refunded),
        (Event::Dispute, None) if matches!(state, State::Disputed { .. }) => Err(Refusal::Disputed),
        (Event::Dispute, None) => Ok(Change::Disputed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    /// Where it stands after a change.
    fn after(state: State, change: Change, now: DateTime<Utc>) -> State {
        match change {
            Change::Marked => state,
            Change::Released => State::Released,
            Change::Refunded | Change::Expired | Change::Unanswered => State::Refunded,
            Change::Disputed => State::Disputed { disputed_at: now },
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<bool>().prop_map(|all_passed| Event::Mark { all_passed }),
            Just(Event::Refund),
            Just(Event::Dispute),
            Just(Event::Lapse),
        ]
    }

    #[test]
    fn the_last_moment() {
        let held = State::Held { expires_at: at(72) };
        let before = at(72) - TimeDelta::microseconds(1);
        assert_eq!(step(held, Event::Dispute, before), Ok(Change::Disputed));
        assert_eq!(step(held, Event::Lapse, before), Err(Refusal::NotDue));
        assert_eq!(step(held, Event::Dispute, at(72)), Err(Refusal::Expired));
        assert_eq!(step(held, Event::Lapse, at(72)), Ok(Change::Expired));
        let disputed = after(held, Change::Disputed, before);
        assert_eq!(
            step(disputed, Event::Dispute, at(72)),
            Err(Refusal::Disputed)
        );
        let end = before + TimeDelta::days(7);
        assert_eq!(
            step(disputed, Event::Lapse, end - TimeDelta::microseconds(1)),
            Err(Refusal::NotDue)
        );
        assert_eq!(step(disputed, Event::Lapse, end), Ok(Change::Unanswered));
        assert_eq!(step(disputed, Event::Refund, end), Err(Refusal::Expired));
    }

    proptest! {
        /// Whatever happens in whatever order, the money moves at most once, and once time enough has passed exactly once.
        #[test]
        fn the_money_moves_once(lifetime in 1..100_i64, events in prop::collection::vec((event(), 0..60_i64), 0..20)) {
            let mut state = State::Held { expires_at: at(lifetime) };
            let (mut hours, mut moved, mut disputes) = (0, 0, 0);
            for (event, wait) in events {
                hours += wait;
                let is_final = matches!(state, State::Released | State::Refunded);
                let Ok(change) = step(state, event, at(hours)) else { continue };
                prop_assert!(!is_final, "{change:?} after the end");
                moved += i32::from(matches!(
                    change,
                    Change::Released | Change::Refunded | Change::Expired | Change::Unanswered
                ));
                disputes += i32::from(change == Change::Disputed);
                // Only what all conditions passed for reaches the payee, and a dispute freezes the expiry.
                prop_assert_eq!(change == Change::Released, event == (Event::Mark { all_passed: true }));
                prop_assert!(change != Change::Expired || (disputes == 0 && hours >= lifetime));
                prop_assert!(change != Change::Unanswered || disputes == 1);
                state = after(state, change, at(hours));
            }
            prop_assert!(moved <= 1 && disputes <= 1);
            if let Ok(change) = step(state, Event::Lapse, at(hours) + DISPUTE_LIFETIME + TimeDelta::hours(100)) {
                moved += 1;
                state = after(state, change, at(hours));
            }
            prop_assert_eq!(moved, 1);
            prop_assert!(matches!(state, State::Released | State::Refunded));
        }

        /// Two that come at the same moment: whoever is second is refused, or finds the money where the first left it.
        #[test]
        fn of_two_at_once_one_moves_the_money(first in event(), second in event(), hours in 0..200_i64, disputed in any::<bool>()) {
            let start = match disputed {
                true => State::Disputed { disputed_at: at(0) },
                false => State::Held { expires_at: at(100) },
            };
            let moves = |change: &Result<Change, Refusal>| {
                matches!(change, Ok(Change::Released | Change::Refunded | Change::Expired | Change::Unanswered))
            };
            let one = step(start, first, at(hours));
            let middle = one.map_or(start, |change| after(start, change, at(hours)));
            let two = step(middle, second, at(hours));
            prop_assert!(!(moves(&one) && two.is_ok()));
        }
    }
}
