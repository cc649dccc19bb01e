//! How long a stream has gone on without saying anything.

/// How many events and comments in a row may hold no text and no call. Comments that keep a connection alive come every few
/// seconds, and the longest thoughts are of some hundred thousand tokens; a server that is stuck sends as many in a minute.
const MOST: u32 = 500_000;

/// Counts the events and comments since the last text or call.
#[derive(Debug, Default)]
pub(super) struct Silence {
    count: u32,
}

impl Silence {
    /// Something was said.
    pub(super) fn broken(&mut self) {
        self.count = 0;
    }

    /// Another event or comment has come. Returns what to say of it if there were too many.
    pub(super) fn goes_on(&mut self) -> Option<String> {
        self.count += 1;
        (self.count > MOST).then(|| format!("{MOST} events in a row held neither text nor a call"))
    }
}
