//! Which instruction set the kernels use.

use std::fmt;
use std::str::FromStr;

use crate::simd::Kernel;
#[cfg(all(target_arch = "arm", target_os = "linux"))]
use crate::simd::armv7_neon::ArmNeon;
use crate::simd::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::simd::{
    avx_vnni::Vnni,
    avx2::{Avx2, Signs},
    avx512::Avx512,
};
#[cfg(target_arch = "aarch64")]
use crate::simd::{
    neon::{Long, Neon},
    neon_dot::Dot,
};

/// A path through the kernels, for one instruction set. Sums of int8 products are the same on all, bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, on any machine.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX2, FMA and AVX-VNNI.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, VL and VNNI.
    Avx512Vnni,
    /// 32-bit ARM with NEON, on Linux.
    Armv7Neon,
    /// aarch64.
    Neon,
    /// aarch64 with dot products of bytes.
    NeonDot,
}

impl Isa {
    /// All paths, the slowest first.
    pub const ALL: [Self; 7] = [
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Armv7Neon,
        Self::Neon,
        Self::NeonDot,
    ];

    /// The fastest path that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this machine, and this build, has the path.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::<Signs>::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Avx2::<Vnni>::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni => false,
            #[cfg(all(target_arch = "arm", target_os = "linux"))]
            Self::Armv7Neon => Portable::<ArmNeon>::detect().is_some(),
            #[cfg(not(all(target_arch = "arm", target_os = "linux")))]
            Self::Armv7Neon => false,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::<Long>::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => Neon::<Dot>::detect().is_some(),
            #[cfg(not(target_arch = "aarch64"))]
            Self::Neon | Self::NeonDot => false,
        }
    }

    /// Its name: `portable`, `avx2`, `avx-vnni`, `avx512-vnni`, `armv7-neon`, `neon`, `neon-dot`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Armv7Neon => "armv7-neon",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dot",
        }
    }

    /// Runs a kernel on this path, or on the portable one where this machine lacks it.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                if let Some(simd) = Avx512::detect() {
                    return simd.run(kernel);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => {
                if let Some(simd) = Avx2::<Vnni>::detect() {
                    return simd.run(kernel);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                if let Some(simd) = Avx2::<Signs>::detect() {
                    return simd.run(kernel);
                }
            }
            #[cfg(all(target_arch = "arm", target_os = "linux"))]
            Self::Armv7Neon => {
                if let Some(simd) = Portable::<ArmNeon>::detect() {
                    return simd.run(kernel);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => {
                if let Some(simd) = Neon::<Dot>::detect() {
                    return simd.run(kernel);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => {
                if let Some(simd) = Neon::<Long>::detect() {
                    return simd.run(kernel);
                }
            }
            _ => {}
        }
        Portable::PLAIN.run(kernel);
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        Self::ALL
            .into_iter()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}

/// A name that no path has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownIsa(String);

impl fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Isa::ALL.map(Isa::name).join(", ");
        write!(f, "found instruction set {:?}, expected one of {names}", self.0)
    }
}

impl std::error::Error for UnknownIsa {}
