//! The full fences of the protocol, by name.

/// Where a full fence stands, and what it is for. Each has a name, so that a test can take one away and
/// watch the model checker find what it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fence {
    /// Between publishing a slot word and looking at the gate. With [`Fence::Close`]: either the
    /// writer sees the closed gate or the closer sees the word. Without it both may miss.
    Enter = 1,
    /// Between closing the gate and looking at the words: the other half of [`Fence::Enter`].
    Close = 2,
    /// Between two looks at all words. A covered writer publishes its word, passes [`Fence::Enter`]
    /// and finds its cover standing. If a look found the cover ended, the next look must see that
    /// writer's word, although the two never wrote to the same place.
    Look = 3,
    /// Between counting an admission to a closing gate and asking once more whether it admits. With
    /// [`Fence::Shut`]: either the one who is let in sees that the gate is shut or the closer sees that
    /// somebody was let in.
    Admit = 4,
    /// Between shutting a gate that admitted and looking at the count: the other half of
    /// [`Fence::Admit`].
    Shut = 5,
}
