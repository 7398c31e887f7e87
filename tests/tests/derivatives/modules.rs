//! Layers of Burn's `nn`, and the losses that come with it.
