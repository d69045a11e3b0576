//! NEON of 32-bit ARM: the loops over products of whole numbers, for two rows at a time. Its intrinsics are not stable yet, hence
//! assembly. Floats stay with the portable path, since this NEON takes denormals for 0.

use std::arch::global_asm;
use std::ffi::c_ulong;

use super::portable::{Loops, Portable};
use super::{LANES, Simd};

/// The proof that this machine has NEON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArmNeon(());

impl Portable<ArmNeon> {
    pub(crate) fn detect() -> Option<Self> {
        const AT_HWCAP: c_ulong = 16;
        const HWCAP_NEON: c_ulong = 1 << 12;
        (getauxval(AT_HWCAP) & HWCAP_NEON != 0).then_some(Self(ArmNeon(())))
    }
}

impl Loops for ArmNeon {
    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        simd: Portable<Self>,
        levels: &[u8],
        panels: [&[[u8; 4 * LANES]]; C],
    ) -> [[[i32; LANES]; C]; R] {
        let mut sums = [[[0; LANES]; C]; R];
        for c in 0..C {
            let (twos, last) = panels[c].as_chunks::<2>();
            let (levels, rest) = levels.split_at(8 * R * twos.len());
            if !twos.is_empty() {
                for r in (0..R).step_by(2) {
                    let other = (r + 1).min(R - 1);
                    let [first, second] = multiply_two::<R>(levels, [r, other], twos);
                    (sums[other][c], sums[r][c]) = (second, first);
                }
            }
            for (rows, four) in rest.chunks_exact(4 * R).zip(last) {
                let rows = rows.as_chunks::<4>().0;
                for r in 0..R {
                    sums[r][c] = simd.dot(sums[r][c], rows[r], simd.weights(four));
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn multiply_pairs<const R: usize, const C: usize>(
        simd: Portable<Self>,
        rows: [&[[i16; 2]]; R],
        panels: [&[[i16; 2 * LANES]]; C],
    ) -> [[[i32; LANES]; C]; R] {
        let mut sums = [[[0; LANES]; C]; R];
        for c in 0..C {
            let (twos, last) = panels[c].as_chunks::<2>();
            if !twos.is_empty() {
                for r in (0..R).step_by(2) {
                    let other = (r + 1).min(R - 1);
                    let [first, second] = multiply_two_pairs([rows[r], rows[other]], twos);
                    (sums[other][c], sums[r][c]) = (second, first);
                }
            }
            for (step, pairs) in (2 * twos.len()..).zip(last) {
                for r in 0..R {
                    sums[r][c] = simd.dot_pairs(sums[r][c], rows[r][step], simd.pairs(pairs));
                }
            }
        }
        sums
    }
}

/// Two of `R` rows, which may be the same, times a panel of at least two steps.
fn multiply_two<const R: usize>(
    levels: &[u8],
    rows: [usize; 2],
    panel: &[[[u8; 4 * LANES]; 2]],
) -> [[i32; LANES]; 2] {
    let mut sums = [[0; LANES]; 2];
    let levels = &levels[..8 * R * panel.len()];
    let [first, second] = rows.map(|row| levels[4 * row..].as_ptr());
    for half in [0, LANES / 2] {
        let place = sums.as_flattened_mut()[half..].as_mut_ptr();
        let columns = panel.as_flattened().as_flattened()[4 * half..].as_ptr();
        // SAFETY: only a machine with NEON comes here. Of each row, of the panel and of the sums there is what the function asks
        // for.
        unsafe { hilbert_armv7_multiply(place, first, second, 4 * R, columns, panel.len()) }
    }
    sums
}

/// Two rows, which may be the same, times a panel of at least two steps.
fn multiply_two_pairs(
    [first, second]: [&[[i16; 2]]; 2],
    panel: &[[[i16; 2 * LANES]; 2]],
) -> [[i32; LANES]; 2] {
    let mut sums = [[0; LANES]; 2];
    let [first, second] = [first, second].map(|row| row[..2 * panel.len()].as_ptr());
    let place = sums.as_mut_ptr();
    // SAFETY: only a machine with NEON comes here. Each row has two steps for each of the panel.
    unsafe { hilbert_armv7_multiply_pairs(place, first, second, panel.as_ptr(), panel.len()) }
    sums
}

unsafe extern "C" {
    safe fn getauxval(kind: c_ulong) -> c_ulong;

    /// Writes the sums of 8 columns, of the first row and 16 places on of the second. Of the rows it reads four levels at every
    /// `stride` bytes, of the panel 32 at every 64, two times `twos` each; `twos` is above 0.
    fn hilbert_armv7_multiply(
        sums: *mut i32,
        first: *const u8,
        second: *const u8,
        stride: usize,
        panel: *const u8,
        twos: usize,
    );

    /// Writes the sums of 16 columns of both rows, of `twos` times two steps; `twos` is above 0.
    fn hilbert_armv7_multiply_pairs(
        sums: *mut [i32; LANES],
        first: *const [i16; 2],
        second: *const [i16; 2],
        panel: *const [[i16; 2 * LANES]; 2],
        twos: usize,
    );
}

// Sums of a row have a register for two columns, each column's in two, of levels 0 and 1 and of 2 and 3; of pairs, a register for
// four columns. Those of the first row are q8 to q11, of the second q12 to q15.
global_asm!(
    r#"
    .pushsection .text.hilbert_armv7, "ax", %progbits
    .syntax unified
    .arm
    .arch armv7-a
    .fpu neon
    .p2align 2

    .globl hilbert_armv7_multiply
    .hidden hilbert_armv7_multiply
    .type hilbert_armv7_multiply, %function
hilbert_armv7_multiply:
    push {r4-r7}
    vpush {q4-q7}
    ldr r4, [sp, #80]           @ the panel at this step
    ldr r5, [sp, #84]
    add r6, r4, #64             @ and at the next
    mov r7, #112
    vmov.i32 q8, #0
    vmov.i32 q9, #0
    vmov.i32 q10, #0
    vmov.i32 q11, #0
    vmov.i32 q12, #0
    vmov.i32 q13, #0
    vmov.i32 q14, #0
    vmov.i32 q15, #0
1:  vld1.32 {d4[]}, [r1], r3
    vld1.32 {d5[]}, [r2], r3
    vld1.32 {d6[]}, [r1], r3
    vld1.32 {d7[]}, [r2], r3
    vld1.8 {d0, d1}, [r4]!
    vld1.8 {d2, d3}, [r6]!
    vmull.s8 q4, d0, d4
    vmull.s8 q5, d1, d4
    vmull.s8 q6, d0, d5
    vmull.s8 q7, d1, d5
    vmlal.s8 q4, d2, d6
    vmlal.s8 q5, d3, d6
    vmlal.s8 q6, d2, d7
    vmlal.s8 q7, d3, d7
    vld1.8 {d0, d1}, [r4], r7
    vld1.8 {d2, d3}, [r6], r7
    vpadal.s16 q8, q4
    vpadal.s16 q9, q5
    vpadal.s16 q12, q6
    vpadal.s16 q13, q7
    vmull.s8 q4, d0, d4
    vmull.s8 q5, d1, d4
    vmull.s8 q6, d0, d5
    vmull.s8 q7, d1, d5
    vmlal.s8 q4, d2, d6
    vmlal.s8 q5, d3, d6
    vmlal.s8 q6, d2, d7
    vmlal.s8 q7, d3, d7
    subs r5, r5, #1
    vpadal.s16 q10, q4
    vpadal.s16 q11, q5
    vpadal.s16 q14, q6
    vpadal.s16 q15, q7
    bne 1b
    vpadd.i32 d16, d16, d17
    vpadd.i32 d17, d18, d19
    vpadd.i32 d18, d20, d21
    vpadd.i32 d19, d22, d23
    vpadd.i32 d20, d24, d25
    vpadd.i32 d21, d26, d27
    vpadd.i32 d22, d28, d29
    vpadd.i32 d23, d30, d31
    vst1.32 {d16-d19}, [r0]
    add r0, r0, #64
    vst1.32 {d20-d23}, [r0]
    vpop {q4-q7}
    pop {r4-r7}
    bx lr
    .size hilbert_armv7_multiply, . - hilbert_armv7_multiply

    .globl hilbert_armv7_multiply_pairs
    .hidden hilbert_armv7_multiply_pairs
    .type hilbert_armv7_multiply_pairs, %function
hilbert_armv7_multiply_pairs:
    ldr r12, [sp]
    vmov.i32 q8, #0
    vmov.i32 q9, #0
    vmov.i32 q10, #0
    vmov.i32 q11, #0
    vmov.i32 q12, #0
    vmov.i32 q13, #0
    vmov.i32 q14, #0
    vmov.i32 q15, #0
1:  vld1.16 {d4}, [r1]!         @ two steps of a row
    vld1.16 {d5}, [r2]!
    vld2.16 {d0-d3}, [r3]!      @ q0 the first levels of 8 columns, q1 the second
    vmlal.s16 q8, d0, d4[0]
    vmlal.s16 q9, d1, d4[0]
    vmlal.s16 q12, d0, d5[0]
    vmlal.s16 q13, d1, d5[0]
    vmlal.s16 q8, d2, d4[1]
    vmlal.s16 q9, d3, d4[1]
    vmlal.s16 q12, d2, d5[1]
    vmlal.s16 q13, d3, d5[1]
    vld2.16 {d0-d3}, [r3]!
    vmlal.s16 q10, d0, d4[0]
    vmlal.s16 q11, d1, d4[0]
    vmlal.s16 q14, d0, d5[0]
    vmlal.s16 q15, d1, d5[0]
    vmlal.s16 q10, d2, d4[1]
    vmlal.s16 q11, d3, d4[1]
    vmlal.s16 q14, d2, d5[1]
    vmlal.s16 q15, d3, d5[1]
    vld2.16 {d0-d3}, [r3]!
    vmlal.s16 q8, d0, d4[2]
    vmlal.s16 q9, d1, d4[2]
    vmlal.s16 q12, d0, d5[2]
    vmlal.s16 q13, d1, d5[2]
    vmlal.s16 q8, d2, d4[3]
    vmlal.s16 q9, d3, d4[3]
    vmlal.s16 q12, d2, d5[3]
    vmlal.s16 q13, d3, d5[3]
    vld2.16 {d0-d3}, [r3]!
    vmlal.s16 q10, d0, d4[2]
    vmlal.s16 q11, d1, d4[2]
    vmlal.s16 q14, d0, d5[2]
    vmlal.s16 q15, d1, d5[2]
    vmlal.s16 q10, d2, d4[3]
    vmlal.s16 q11, d3, d4[3]
    vmlal.s16 q14, d2, d5[3]
    vmlal.s16 q15, d3, d5[3]
    subs r12, r12, #1
    bne 1b
    vst1.32 {d16-d19}, [r0]!
    vst1.32 {d20-d23}, [r0]!
    vst1.32 {d24-d27}, [r0]!
    vst1.32 {d28-d31}, [r0]
    bx lr
    .size hilbert_armv7_multiply_pairs, . - hilbert_armv7_multiply_pairs
    .popsection
"#,
    options(raw)
);
