//! The kernels against their naive forms, over shapes, strides and paddings.

use candle_core::{Device, Tensor, Var};
use gimlet::random::generator;
use gimlet_kernel::activation::relu;
use gimlet_kernel::conv_op::{conv1d, conv2d};
use gimlet_kernel::gate::gate;
use gimlet_kernel::pool::mean_pool;
use proptest::prelude::*;

/// A convolution's sizes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    /// Down and across, as are the next two.
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    out_channels: usize,
}

impl Sizes {
    fn out(&self) -> (usize, usize) {
        let side = |n: usize, axis: usize| {
            (n + 2 * self.padding[axis] - self.kernel[axis]) / self.stride[axis] + 1
        };
        (side(self.height, 0), side(self.width, 1))
    }
}

fn sizes() -> impl Strategy<Value = Sizes> {
    let pair = |from: usize, to: usize| [from..to, from..to];
    let maps = (
        1..5usize,
        1..9usize,
        1..9usize,
        prop_oneof![1..7usize, 12..15usize],
        prop_oneof![1..10usize, 30..40usize],
    );
    (maps, pair(1, 6), pair(1, 5), pair(0, 4))
        .prop_map(|((images, height, width, channels, out_channels), kernel, stride, padding)| {
            Sizes { images, height, width, channels, kernel, stride, padding, out_channels }
        })
        .prop_filter("the kernel fits", |s| {
            s.height + 2 * s.padding[0] >= s.kernel[0] && s.width + 2 * s.padding[1] >= s.kernel[1]
        })
}

fn draw(seed: u64, purpose: &str, len: usize) -> Vec<f32> {
    let mut draws = generator(seed, purpose, &[]);
    (0..len).map(|_| draws.normal()).collect()
}

/// Every product of a convolution, once: `visit(x index, weight index, y index)`.
fn each_product(s: &Sizes, mut visit: impl FnMut(usize, usize, usize)) {
    let (out_h, out_w) = s.out();
    for n in 0..s.images {
        for (oy, ox) in (0..out_h).flat_map(|y| (0..out_w).map(move |x| (y, x))) {
            for (ky, kx) in (0..s.kernel[0]).flat_map(|y| (0..s.kernel[1]).map(move |x| (y, x))) {
                let y = (oy * s.stride[0] + ky).checked_sub(s.padding[0]).filter(|y| *y < s.height);
                let x = (ox * s.stride[1] + kx).checked_sub(s.padding[1]).filter(|x| *x < s.width);
                let (Some(y), Some(x)) = (y, x) else { continue };
                for c in 0..s.channels {
                    for o in 0..s.out_channels {
                        visit(
                            ((n * s.height + y) * s.width + x) * s.channels + c,
                            ((ky * s.kernel[1] + kx) * s.channels + c) * s.out_channels + o,
                            ((n * out_h + oy) * out_w + ox) * s.out_channels + o,
                        );
                    }
                }
            }
        }
    }
}

fn assert_close(what: &str, found: &Tensor, expected: &[f64]) -> Result<(), TestCaseError> {
    let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    prop_assert_eq!(found.len(), expected.len(), "{}", what);
    let scale = expected.iter().fold(1.0, |max: f64, v| max.max(v.abs()));
    for (found, expected) in found.iter().zip(expected) {
        prop_assert!(
            (f64::from(*found) - expected).abs() <= 1e-5 * scale,
            "{}: {} is not {}",
            what,
            found,
            expected
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn convolution_and_its_gradients_are_the_naive_ones(s in sizes(), relu: bool, seed: u64) {
        let (out_h, out_w) = s.out();
        let x = draw(seed, "x", s.images * s.height * s.width * s.channels);
        let w = draw(seed, "w", s.kernel[0] * s.kernel[1] * s.channels * s.out_channels);
        let b = draw(seed, "b", s.out_channels);
        let g = draw(seed, "g", s.images * out_h * out_w * s.out_channels);
        let var = |v: &[f32], shape: &[usize]| {
            Var::from_tensor(&Tensor::from_slice(v, shape, &Device::Cpu).unwrap()).unwrap()
        };
        let vx = var(&x, &[s.images, s.height, s.width, s.channels]);
        let vw = var(&w, &[s.kernel[0], s.kernel[1], s.channels, s.out_channels]);
        let vb = var(&b, &[s.out_channels]);
        let y = conv2d(&vx, &vw, &vb, s.stride, s.padding, relu).unwrap();
        let tg = Tensor::from_slice(&g, y.shape(), &Device::Cpu).unwrap();
        let gradients = (&y * &tg).unwrap().sum_all().unwrap().backward().unwrap();

        let mut expected: Vec<f64> = (0..g.len()).map(|i| f64::from(b[i % s.out_channels])).collect();
        each_product(&s, |i, j, o| expected[o] += f64::from(x[i]) * f64::from(w[j]));
        let open: Vec<bool> = expected.iter().map(|v| !relu || *v > 0.0).collect();
        let y_expected: Vec<f64> =
            expected.iter().zip(&open).map(|(v, open)| if *open { *v } else { 0.0 }).collect();
        assert_close("output", &y, &y_expected)?;
        // A sum so near zero that its sign is rounding decides nothing about the gradient.
        prop_assume!(!relu || expected.iter().all(|v| v.abs() > 1e-5));

        let mut dx = vec![0.0; x.len()];
        let mut dw = vec![0.0; w.len()];
        let mut db = vec![0.0; b.len()];
        let dy = |o: usize| if open[o] { f64::from(g[o]) } else { 0.0 };
        (0..g.len()).for_each(|o| db[o % s.out_channels] += dy(o));
        each_product(&s, |i, j, o| {
            dx[i] += dy(o) * f64::from(w[j]);
            dw[j] += dy(o) * f64::from(x[i]);
        });
        assert_close("input gradient", gradients.get(&vx).unwrap(), &dx)?;
        assert_close("weight gradient", gradients.get(&vw).unwrap(), &dw)?;
        assert_close("bias gradient", gradients.get(&vb).unwrap(), &db)?;
    }

    #[test]
    fn a_1d_convolution_is_a_flat_2d_one(s in sizes(), relu: bool, seed: u64) {
        let s = Sizes { height: 1, kernel: [1, s.kernel[1]], stride: [1, s.stride[1]], padding: [0, s.padding[1]], ..s };
        let x = draw(seed, "x", s.images * s.width * s.channels);
        let x = Tensor::from_vec(x, (s.images, s.width, s.channels), &Device::Cpu).unwrap();
        let w = draw(seed, "w", s.kernel[1] * s.channels * s.out_channels);
        let w = Tensor::from_vec(w, (s.kernel[1], s.channels, s.out_channels), &Device::Cpu).unwrap();
        let b = Tensor::from_vec(draw(seed, "b", s.out_channels), s.out_channels, &Device::Cpu).unwrap();
        let y = conv1d(&x, &w, &b, s.stride[1], s.padding[1], relu).unwrap();
        let flat = conv2d(
            &x.unsqueeze(1).unwrap(), &w.unsqueeze(0).unwrap(), &b, s.stride, s.padding, relu,
        ).unwrap();
        prop_assert_eq!(y.dims(), &[s.images, s.out().1, s.out_channels]);
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        prop_assert_eq!(values(&y), values(&flat));
    }

    #[test]
    fn relu_and_pooling_are_the_naive_ones(
        images in 1..4usize, height in 1..5usize, width in 1..5usize, channels in 1..6usize, seed: u64,
    ) {
        let x = draw(seed, "x", images * height * width * channels);
        let shape = (images, height, width, channels);
        let vx = Var::from_tensor(&Tensor::from_slice(&x, shape, &Device::Cpu).unwrap()).unwrap();
        let y = mean_pool(&relu(&vx).unwrap()).unwrap();
        let g = draw(seed, "g", images * channels);
        let tg = Tensor::from_slice(&g, (images, channels), &Device::Cpu).unwrap();
        let gradients = (&y * &tg).unwrap().sum_all().unwrap().backward().unwrap();
        let positions = (height * width) as f64;
        let mut expected = vec![0.0; images * channels];
        let mut dx = vec![0.0; x.len()];
        for (i, value) in x.iter().enumerate() {
            let pooled = i / (height * width * channels) * channels + i % channels;
            if *value > 0.0 {
                expected[pooled] += f64::from(*value) / positions;
                dx[i] = f64::from(g[pooled]) / positions;
            }
        }
        assert_close("pooled", &y, &expected)?;
        assert_close("gradient", gradients.get(&vx).unwrap(), &dx)?;
    }

    #[test]
    fn a_gate_and_its_gradient_are_the_naive_ones(
        rows in 1..80usize, channels in 1..6usize, seed: u64,
    ) {
        let x = draw(seed, "x", rows * 2 * channels);
        let shape = (rows, 2 * channels);
        let vx = Var::from_tensor(&Tensor::from_slice(&x, shape, &Device::Cpu).unwrap()).unwrap();
        let y = gate(&vx).unwrap();
        prop_assert_eq!(y.dims(), &[rows, channels]);
        let g = draw(seed, "g", rows * channels);
        let tg = Tensor::from_slice(&g, (rows, channels), &Device::Cpu).unwrap();
        let gradients = (&y * &tg).unwrap().sum_all().unwrap().backward().unwrap();
        let (mut expected, mut dx) = (vec![0.0; rows * channels], vec![0.0; x.len()]);
        for at in 0..rows * channels {
            let (row, channel) = (at / channels, at % channels);
            let a = row * 2 * channels + channel;
            let (t, s) = (f64::from(x[a]).tanh(), 1.0 / (1.0 + f64::from(-x[a + channels]).exp()));
            expected[at] = t * s;
            dx[a] = f64::from(g[at]) * (1.0 - t * t) * s;
            dx[a + channels] = f64::from(g[at]) * t * s * (1.0 - s);
        }
        assert_close("gated", &y, &expected)?;
        assert_close("gradient", gradients.get(&vx).unwrap(), &dx)?;
    }
}

/// What a stage stores must not depend on which rows went through the module together.

#[test]
fn an_images_convolution_does_not_depend_on_its_batch() {
    for (size, channels, out_channels, kernel) in
        [(8, 3, 32, 5), (8, 32, 32, 3), (2, 128, 128, 3), (4, 64, 64, 1)]
    {
        let images = 70;
        let len = size * size * channels;
        let x = draw(1, "x", images * len);
        let w = draw(1, "w", kernel * kernel * channels * out_channels);
        let w =
            Tensor::from_vec(w, (kernel, kernel, channels, out_channels), &Device::Cpu).unwrap();
        let b = Tensor::from_vec(draw(1, "b", out_channels), out_channels, &Device::Cpu).unwrap();
        let convolve = |from: usize, to: usize| {
            let x = &x[from * len..to * len];
            let x = Tensor::from_slice(x, (to - from, size, size, channels), &Device::Cpu).unwrap();
            let y = conv2d(&x, &w, &b, [1, 1], [kernel / 2; 2], true).unwrap();
            y.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let all = convolve(0, images);
        let row = all.len() / images;
        for (from, to) in [(0, 1), (3, 20), (17, 70), (69, 70)] {
            assert!(
                convolve(from, to) == all[from * row..to * row],
                "{size} {channels}: {from}..{to}"
            );
        }
    }
}
