//! Landlock: from now on this thread, and those that it starts, use only these files, and open no new listener.
//!
//! <https://docs.kernel.org/userspace-api/landlock.html>

use std::borrow::Cow;
use std::fmt;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};

use super::needs::Needs;

/// The newest version whose rights are known here and tested. What a later one takes away (as connecting to Unix sockets),
/// this program may need.
const NEWEST: ABI = ABI::V7;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confined {
    /// It is so, with this version of Landlock.
    Abi(i32),
    /// The kernel does not do it, and why.
    Not(Cow<'static, str>),
}

/// Confines this thread, as far as the kernel can. What does not exist is left out.
pub(super) fn confine(needs: &Needs) -> Result<Confined, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        // Those that it has stay; those that it opens to others are not touched.
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(&needs.read, read))?
        .add_rules(path_beneath_rules(&needs.devices, device))?
        .add_rules(path_beneath_rules(&needs.sockets, AccessFs::RemoveFile))?
        .restrict_self()?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            Confined::Abi(kernel_abi.unwrap_or(effective_abi as i32))
        }
        LandlockStatus::NotEnabled => Confined::Not(
            "this kernel has Landlock switched off (its command line may say lsm=landlock,…)".into(),
        ),
        LandlockStatus::NotImplemented => Confined::Not(
            "this kernel has no Landlock (Linux 5.13 or later may), or a seccomp filter keeps it away".into(),
        ),
    })
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abi(abi) if *abi < 4 => write!(f, "use only the files that they need (Landlock ABI {abi})"),
            Self::Abi(abi) => {
                write!(f, "use only the files that they need and listen nowhere else (Landlock ABI {abi})")
            }
            Self::Not(why) => write!(f, "are not confined: {why}"),
        }
    }
}
