//! Convolution over time.

use hilbert_kernels::{Activation, Convolution, Isa, Layout, Panels, Scratch};
use proptest::prelude::{Just, Strategy, any};
use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};

use crate::values::{checked, excess, paths, rounded, same, scales};

#[derive(Debug, Clone)]
struct Case {
    shape: [usize; 3],
    stride: usize,
    pads: [usize; 2],
    frames: usize,
    x: Vec<f32>,
    levels: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn packed(&self) -> Convolution {
        let panels = Panels::pack_windows(self.shape, |i| self.levels[i]);
        let [_, inputs, _] = self.shape;
        Convolution::new(panels, inputs, self.stride, self.pads, &self.scales, &self.bias).unwrap()
    }

    fn apply(&self, isa: Isa, layout: Layout) -> Vec<f32> {
        let packed = self.packed();
        let mut out = vec![f32::NAN; packed.steps(self.frames) * packed.outputs()];
        let x = match layout {
            Layout::Channels => self.x.clone(),
            Layout::Frames => (0..self.x.len())
                .map(|i| self.x[i % self.shape[1] * self.frames + i / self.shape[1]])
                .collect(),
        };
        packed
            .apply(
                isa,
                &x,
                [layout, Layout::Frames],
                Activation::Identity,
                &mut out,
                &mut Scratch::default(),
            )
            .unwrap();
        out
    }

    fn oracle(&self) -> Vec<f64> {
        let [outputs, inputs, width] = self.shape;
        let padded = self.frames + self.pads[0] + self.pads[1];
        let steps = if padded < width { 0 } else { (padded - width) / self.stride + 1 };
        let at = |channel: usize, frame: usize| {
            let frame = frame.checked_sub(self.pads[0]).filter(|frame| *frame < self.frames);
            frame.map_or(0.0, |frame| self.x[channel * self.frames + frame])
        };
        let mut out = Vec::new();
        for step in 0..steps {
            let window: Vec<f32> = (0..width * inputs)
                .map(|i| at(i % inputs, step * self.stride + i / inputs))
                .collect();
            let window = rounded(&window, steps);
            for o in 0..outputs {
                let product = |(i, x): (usize, &f64)| {
                    let level = self.levels[(o * inputs + i % inputs) * width + i / inputs];
                    x * f64::from(level)
                };
                let sum: f64 = window.iter().enumerate().map(product).sum();
                out.push(
                    sum * f64::from(self.scales[o])
                        + self.bias.get(o).map_or(0.0, |b| f64::from(*b)),
                );
            }
        }
        out
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..40, 1_usize..20, 1_usize..5, 1_usize..4, 0_usize..4, 0_usize..4, 1_usize..40)
        .prop_flat_map(|(outputs, inputs, width, stride, before, behind, frames)| {
            (
                Just(([outputs, inputs, width], stride, [before, behind], frames)),
                vec(-3.0_f32..3.0, inputs * frames),
                vec(any::<i8>(), outputs * inputs * width),
                scales(outputs),
                vec(-1.0_f32..1.0, outputs),
            )
                .prop_map(
                    |((shape, stride, pads, frames), x, levels, scales, bias)| Case {
                        shape,
                        stride,
                        pads,
                        frames,
                        x,
                        levels,
                        scales,
                        bias,
                    },
                )
        })
}

proptest! {
    #![proptest_config(checked(300))]

    #[test]
    fn every_path_equals_the_naive_convolution(case in cases()) {
        let expected = case.oracle();
        prop_assert_eq!(case.packed().steps(case.frames) * case.shape[0], expected.len());
        for isa in paths() {
            let found = case.apply(isa, Layout::Channels);
            let excess = excess(&found, &expected, 1e-4, 1e-5);
            prop_assert!(excess <= 0.0, "{isa}: {excess} beyond the tolerance");
            prop_assert!(same(&found, &case.apply(isa, Layout::Frames)), "{isa}: layouts differ");
            let mut channels = vec![f32::NAN; found.len()];
            let layouts = [Layout::Channels; 2];
            let packed = case.packed();
            packed.apply(isa, &case.x, layouts, Activation::Identity, &mut channels, &mut Scratch::default()).unwrap();
            let steps = packed.steps(case.frames);
            let frames: Vec<f32> = (0..found.len())
                .map(|i| channels[i % case.shape[0] * steps + i / case.shape[0]])
                .collect();
            prop_assert!(same(&found, &frames), "{isa}: layouts of the output differ");
            prop_assert!(same(&found, &case.apply(Isa::Portable, Layout::Channels)), "{isa}: not the portable path's bits");
        }
    }
}
