//! Whether the kernel has killed processes for want of memory.

use std::fs;

/// How often it has, as far as is known.
#[derive(Debug)]
pub(super) struct OutOfMemory(Option<u64>);

impl OutOfMemory {
    pub(super) fn new() -> Self {
        Self(kills())
    }

    /// Whether it has killed any, this or others, since it was last asked. Where it does not tell, it
    /// may have.
    pub(super) fn has_struck(&mut self) -> bool {
        let before = std::mem::replace(&mut self.0, kills());
        before.is_none() || self.0 != before
    }
}

fn kills() -> Option<u64> {
    let all = fs::read_to_string("/proc/vmstat").ok()?;
    all.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells() {
        let mut kernel = OutOfMemory::new();
        assert!(kernel.0.is_some(), "there is a line of it");
        kernel.0 = kernel.0.map(|kills| kills.wrapping_sub(1));
        assert!(kernel.has_struck());
        let mut silent = OutOfMemory(None);
        assert!(silent.has_struck());
    }
}
