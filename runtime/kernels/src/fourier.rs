//! The Fourier transform of 16 real signals at a time, one in each lane.
//!
//! Stockham's self-sorting algorithm of mixed radix on half the length, the real signal packed as a complex one (Van Loan 1992,
//! "Computational Frameworks for the Fast Fourier Transform", 1.7 and 4.3). Lanes never meet: every path gives the same bits.

use std::f64::consts::PI;

use crate::simd::{LANES, Simd};

/// A complex number in each lane.
type Complex = [[f32; LANES]; 2];

/// A transform of one even length, planned.
#[derive(Debug, Clone)]
pub(crate) struct RealFourier {
    /// Half the length.
    half: usize,
    stages: Vec<Stage>,
    /// `e^(-2 pi i k / length)` for k up to half the length.
    unpack: Vec<[f32; 2]>,
    values: Vec<Complex>,
    others: Vec<Complex>,
}

/// One pass over the values, by butterflies of `radix`.
#[derive(Debug, Clone)]
struct Stage {
    radix: usize,
    /// Butterflies of different twiddle factors, and how many of each follow one another.
    groups: usize,
    stride: usize,
    /// For each group the factors of its outputs but the first.
    twiddles: Vec<[f32; 2]>,
    /// `e^(-2 pi i j / radix)`
    roots: Vec<[f32; 2]>,
}

impl RealFourier {
    /// Plans a transform of `length`, an even number of at least 2.
    pub(crate) fn new(length: usize) -> Self {
        let half = length / 2;
        let (mut left, mut stride, mut stages) = (half, 1, Vec::new());
        while left > 1 {
            let radix = if left.is_multiple_of(4) { 4 } else { smallest_divisor(left) };
            let groups = left / radix;
            let twiddles = (0..groups).flat_map(|q| (1..radix).map(move |r| turn(q * r, left)));
            let roots = (0..radix).map(|j| turn(j, radix)).collect();
            stages.push(Stage { radix, groups, stride, twiddles: twiddles.collect(), roots });
            (left, stride) = (groups, stride * radix);
        }
        let unpack = (0..=half).map(|k| turn(k, length)).collect();
        let zeros = vec![[[0.0; LANES]; 2]; half];
        Self { half, stages, unpack, values: zeros.clone(), others: zeros }
    }

    /// Bytes of heap of a transform of `length`: of values twice, and of factors at most one for each value of each pass, of which
    /// there are fewer than bits in the length.
    pub(crate) const fn heap_bytes(length: usize) -> usize {
        let half = length / 2;
        let passes = (usize::BITS - half.leading_zeros()) as usize;
        2 * half * size_of::<Complex>()
            + (half + 1 + 2 * half * passes) * size_of::<[f32; 2]>()
            + passes * size_of::<Stage>()
    }

    /// The two samples of each signal that the transform is given as its value `n`: `2 n` and `2 n + 1`.
    pub(crate) fn samples(&mut self) -> &mut [Complex] {
        &mut self.values
    }

    /// Transforms [`RealFourier::samples`] to the power of each frequency, from 0 to half the length.
    #[inline(always)]
    pub(crate) fn power<S: Simd>(&mut self, simd: S, power: &mut [[f32; LANES]]) {
        for stage in &self.stages {
            stage.pass(simd, &self.values, &mut self.others);
            std::mem::swap(&mut self.values, &mut self.others);
        }
        let (half, values) = (self.half, &self.values);
        for (k, power) in power.iter_mut().enumerate().take(half + 1) {
            let (a, b) = (load(simd, &values[k % half]), load(simd, &values[(half - k) % half]));
            // The transforms of the even and of the odd samples, times 2.
            let even = [simd.add(a[0], b[0]), simd.sub(a[1], b[1])];
            let odd = [simd.add(a[1], b[1]), simd.sub(b[0], a[0])];
            let odd = times(simd, odd, self.unpack[k]);
            let real = simd.add(even[0], odd[0]);
            let imaginary = simd.add(even[1], odd[1]);
            let squares = simd.fma(real, real, simd.mul(imaginary, imaginary));
            simd.store(simd.mul(squares, simd.splat(0.25)), power);
        }
    }
}

impl Stage {
    #[inline(always)]
    fn pass<S: Simd>(&self, simd: S, from: &[Complex], to: &mut [Complex]) {
        let Self { radix, groups, stride, .. } = *self;
        for q in 0..groups {
            let twiddles = &self.twiddles[q * (radix - 1)..(q + 1) * (radix - 1)];
            for k in 0..stride {
                let input = &from[k + stride * q..];
                let output = &mut to[k + stride * radix * q..];
                if radix == 4 {
                    self.four(simd, input, output, twiddles);
                } else {
                    self.any(simd, input, output, twiddles);
                }
            }
        }
    }

    #[inline(always)]
    fn four<S: Simd>(&self, simd: S, from: &[Complex], to: &mut [Complex], twiddles: &[[f32; 2]]) {
        let step = self.stride * self.groups;
        let [a, b] = [load(simd, &from[0]), load(simd, &from[step])];
        let [c, d] = [load(simd, &from[2 * step]), load(simd, &from[3 * step])];
        let (sum, difference) = (plus(simd, a, c), minus(simd, a, c));
        let (other_sum, other) = (plus(simd, b, d), minus(simd, b, d));
        // -i times the difference
        let turned = [other[1], simd.sub(simd.splat(0.0), other[0])];
        store(simd, plus(simd, sum, other_sum), &mut to[0]);
        let second = times(simd, plus(simd, difference, turned), twiddles[0]);
        store(simd, second, &mut to[self.stride]);
        let third = times(simd, minus(simd, sum, other_sum), twiddles[1]);
        store(simd, third, &mut to[2 * self.stride]);
        let fourth = times(simd, minus(simd, difference, turned), twiddles[2]);
        store(simd, fourth, &mut to[3 * self.stride]);
    }

    /// A butterfly of any radix: of an odd one, values at equal distance from both ends are taken together.
    #[inline(always)]
    fn any<S: Simd>(&self, simd: S, from: &[Complex], to: &mut [Complex], twiddles: &[[f32; 2]]) {
        let (radix, step) = (self.radix, self.stride * self.groups);
        let first = load(simd, &from[0]);
        let mut sum = first;
        for j in 1..radix {
            sum = plus(simd, sum, load(simd, &from[j * step]));
        }
        store(simd, sum, &mut to[0]);
        if radix == 2 {
            let second = minus(simd, first, load(simd, &from[step]));
            store(simd, times(simd, second, twiddles[0]), &mut to[self.stride]);
            return;
        }
        for r in 1..=radix / 2 {
            let (mut even, mut odd) = (first, [simd.splat(0.0); 2]);
            for j in 1..=radix / 2 {
                let (a, b) = (load(simd, &from[j * step]), load(simd, &from[(radix - j) * step]));
                let [cosine, sine] = self.roots[j * r % radix];
                let (cosine, sine) = (simd.splat(cosine), simd.splat(sine));
                let (sum, difference) = (plus(simd, a, b), minus(simd, a, b));
                even = [simd.fma(sum[0], cosine, even[0]), simd.fma(sum[1], cosine, even[1])];
                // i times the difference times the sine
                odd = [
                    simd.sub(odd[0], simd.mul(difference[1], sine)),
                    simd.fma(difference[0], sine, odd[1]),
                ];
            }
            let near = times(simd, plus(simd, even, odd), twiddles[r - 1]);
            store(simd, near, &mut to[r * self.stride]);
            let far = times(simd, minus(simd, even, odd), twiddles[radix - r - 1]);
            store(simd, far, &mut to[(radix - r) * self.stride]);
        }
    }
}

#[inline(always)]
fn load<S: Simd>(simd: S, value: &Complex) -> [S::F; 2] {
    [simd.load(&value[0]), simd.load(&value[1])]
}

#[inline(always)]
fn store<S: Simd>(simd: S, value: [S::F; 2], place: &mut Complex) {
    simd.store(value[0], &mut place[0]);
    simd.store(value[1], &mut place[1]);
}

#[inline(always)]
fn plus<S: Simd>(simd: S, a: [S::F; 2], b: [S::F; 2]) -> [S::F; 2] {
    [simd.add(a[0], b[0]), simd.add(a[1], b[1])]
}

#[inline(always)]
fn minus<S: Simd>(simd: S, a: [S::F; 2], b: [S::F; 2]) -> [S::F; 2] {
    [simd.sub(a[0], b[0]), simd.sub(a[1], b[1])]
}

#[inline(always)]
fn times<S: Simd>(simd: S, a: [S::F; 2], [cosine, sine]: [f32; 2]) -> [S::F; 2] {
    let (cosine, sine) = (simd.splat(cosine), simd.splat(sine));
    let real = simd.sub(simd.mul(a[0], cosine), simd.mul(a[1], sine));
    [real, simd.fma(a[1], cosine, simd.mul(a[0], sine))]
}

/// `e^(-2 pi i k / n)`
#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is meant")]
fn turn(k: usize, n: usize) -> [f32; 2] {
    let angle = -2.0 * PI * (k % n) as f64 / n as f64;
    [angle.cos() as f32, angle.sin() as f32]
}

fn smallest_divisor(n: usize) -> usize {
    (2..).take_while(|d| d * d <= n).find(|d| n.is_multiple_of(*d)).unwrap_or(n)
}
