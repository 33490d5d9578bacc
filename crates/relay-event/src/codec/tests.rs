//! Round trips, and a corpus of what senders get wrong.

mod corpus;
mod round_trip;
