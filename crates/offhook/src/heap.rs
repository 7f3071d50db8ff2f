//! The allocator. With the feature `heap-count`, which is for `cargo xtask soak`, it counts what it has given out: what the
//! process takes from the system tells little of a leak, as the allocator keeps pages for later.

#[cfg(not(feature = "heap-count"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "heap-count")]
#[global_allocator]
static ALLOCATOR: cap::Cap<mimalloc::MiMalloc> = cap::Cap::new(mimalloc::MiMalloc, usize::MAX);

/// Says how many bytes are given out, if they are counted.
pub(crate) fn gauge() -> Option<fn() -> usize> {
    #[cfg(feature = "heap-count")]
    return Some(|| ALLOCATOR.allocated());
    #[cfg(not(feature = "heap-count"))]
    None
}
