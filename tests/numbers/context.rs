//! What predicts in place of each vector: a GRU against the published code's numbers, its naive form in
//! f64, finite differences of that, and itself on other devices, batches and threads.

use std::path::Path;

use candle_core::safetensors::load;
use candle_core::{DType, Device, Tensor, Var};
use gimlet::context::gru::{Gru, shapes};
use gimlet::device::DeviceName;
use gimlet::parameters::Parameters;
use gimlet::random::generator;
use proptest::prelude::*;

const NAME: &str = "context";

fn draw(seed: u64, purpose: &str, len: usize) -> Vec<f64> {
    let mut draws = generator(seed, purpose, &[]);
    // As f32 has them: the naive forms start from the same values.
    (0..len).map(|_| f64::from(draws.normal())).collect()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn assert_close(
    what: &str,
    found: &[f32],
    expected: &[f64],
    within: f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len(), "{}", what);
    let scale = expected.iter().fold(1.0, |max: f64, value| max.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        let off = (f64::from(*found) - expected).abs();
        prop_assert!(off <= within * scale, "{}: {} is not {}", what, found, expected);
    }
    Ok(())
}

/// A GRU's sizes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    steps: usize,
    input: usize,
    hidden: usize,
}

fn sizes() -> impl Strategy<Value = Sizes> {
    let hidden = prop_oneof![1..10usize, 14..19usize, 30..36usize];
    (1..6usize, 1..12usize, 1..20usize, hidden).prop_map(|(batch, steps, input, hidden)| Sizes {
        batch,
        steps,
        input,
        hidden,
    })
}

/// Where a GRU is evaluated: its input, and its parameters in the order of [`shapes`]. Or gradients, or
/// a direction.
#[derive(Debug, Clone)]
struct Point {
    parts: [Vec<f64>; 5],
}

const PARTS: [&str; 5] = ["x", "input.weight", "input.bias", "hidden.weight", "hidden.bias"];

impl Sizes {
    fn x(&self) -> [usize; 3] {
        [self.batch, self.steps, self.input]
    }

    fn states(&self) -> usize {
        self.batch * self.steps * self.hidden
    }

    fn lens(&self) -> [usize; 5] {
        let gates = 3 * self.hidden;
        [self.x().iter().product(), self.input * gates, gates, self.hidden * gates, gates]
    }

    fn point(&self, seed: u64, purpose: &str) -> Point {
        // Such that the gates are neither open nor shut.
        let scale = [1.0, (self.input as f64).sqrt(), 1.0, (self.hidden as f64).sqrt(), 1.0];
        let lens = self.lens();
        let parts = std::array::from_fn(|part| {
            let values = draw(seed, &format!("{purpose} {}", PARTS[part]), lens[part]);
            values.into_iter().map(|value| f64::from((value / scale[part]) as f32)).collect()
        });
        Point { parts }
    }

    fn zeros(&self) -> Point {
        Point { parts: self.lens().map(|len| vec![0.0; len]) }
    }
}

impl Point {
    fn moved(&self, along: &Point, by: f64) -> Point {
        let mut moved = self.clone();
        let parts = moved.parts.iter_mut().zip(&along.parts);
        for (value, step) in parts.flat_map(|(part, along)| part.iter_mut().zip(along)) {
            *value += by * step;
        }
        moved
    }

    fn dot(&self, other: &Point) -> f64 {
        let parts = self.parts.iter().zip(&other.parts);
        parts.flat_map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b)).sum()
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `[r, z, n, W_hn h + b_hn]` of hidden value `j` after `before`, with the input `x` of a step.
fn gates(s: &Sizes, at: &Point, x: &[f64], before: &[f64], j: usize) -> [f64; 4] {
    let [_, input_weight, input_bias, hidden_weight, hidden_bias] = &at.parts;
    let sum = |of: &[f64], weight: &[f64], bias: &[f64], gate: usize| -> f64 {
        let column = gate * s.hidden + j;
        let products = of.iter().enumerate().map(|(i, v)| v * weight[i * 3 * s.hidden + column]);
        products.sum::<f64>() + bias[column]
    };
    let from_input = |gate| sum(x, input_weight, input_bias, gate);
    let from_state = |gate| sum(before, hidden_weight, hidden_bias, gate);
    let (r, z) = (sigmoid(from_input(0) + from_state(0)), sigmoid(from_input(1) + from_state(1)));
    let recalled = from_state(2);
    [r, z, (from_input(2) + r * recalled).tanh(), recalled]
}

/// The input of a step of a sample, and the state before it.
fn around<'a>(
    s: &Sizes,
    at: &'a Point,
    states: &[f64],
    b: usize,
    t: usize,
) -> (&'a [f64], Vec<f64>) {
    let row = b * s.steps + t;
    let before = match t {
        0 => vec![0.0; s.hidden],
        _ => states[(row - 1) * s.hidden..][..s.hidden].to_vec(),
    };
    (&at.parts[0][row * s.input..][..s.input], before)
}

/// All states, value by value.
fn naive(s: &Sizes, at: &Point) -> Vec<f64> {
    let mut states = Vec::with_capacity(s.states());
    for (b, t) in (0..s.batch).flat_map(|b| (0..s.steps).map(move |t| (b, t))) {
        let (x, before) = around(s, at, &states, b, t);
        for (j, before_j) in before.iter().enumerate() {
            let [_, z, n, _] = gates(s, at, x, &before, j);
            states.push((1.0 - z) * n + z * before_j);
        }
    }
    states
}

/// The gradients of all parts, given those of the states, value by value.
fn naive_back(s: &Sizes, at: &Point, d_states: &[f64], bptt: bool) -> Point {
    let states = naive(s, at);
    let mut d = s.zeros();
    let [dx, d_input_weight, d_input_bias, d_hidden_weight, d_hidden_bias] = &mut d.parts;
    for b in 0..s.batch {
        let mut carried = vec![0.0; s.hidden];
        for t in (0..s.steps).rev() {
            let (x, before) = around(s, at, &states, b, t);
            let row = b * s.steps + t;
            let mut d_before = vec![0.0; s.hidden];
            for j in 0..s.hidden {
                let [r, z, n, recalled] = gates(s, at, x, &before, j);
                let dh = d_states[row * s.hidden + j] + carried[j];
                let d_new = dh * (1.0 - z) * (1.0 - n * n);
                let d_update = dh * (before[j] - n) * z * (1.0 - z);
                let d_reset = d_new * recalled * r * (1.0 - r);
                d_before[j] += dh * z;
                let from_state = [d_reset, d_update, d_new * r];
                for (gate, from_input) in [d_reset, d_update, d_new].into_iter().enumerate() {
                    let (column, from_state) = (gate * s.hidden + j, from_state[gate]);
                    d_input_bias[column] += from_input;
                    d_hidden_bias[column] += from_state;
                    for i in 0..s.input {
                        let w = i * 3 * s.hidden + column;
                        dx[row * s.input + i] += from_input * at.parts[1][w];
                        d_input_weight[w] += from_input * x[i];
                    }
                    for i in 0..s.hidden {
                        let w = i * 3 * s.hidden + column;
                        d_before[i] += from_state * at.parts[3][w];
                        d_hidden_weight[w] += from_state * before[i];
                    }
                }
            }
            if bptt {
                carried = d_before;
            }
        }
    }
    d
}

/// The states, and the gradients of all parts given `d_states`, of the network itself.
fn run(
    s: &Sizes,
    at: &Point,
    d_states: &[f64],
    bptt: bool,
    device: DeviceName,
) -> (Vec<f32>, [Vec<f32>; 5]) {
    let x = Var::from_tensor(&tensor(&at.parts[0], &s.x())).unwrap();
    let shapes = shapes(s.input, s.hidden).map(|it| it.under(NAME));
    let variables: Vec<Var> = (shapes.iter().zip(&at.parts[1..]))
        .map(|(shape, part)| Var::from_tensor(&tensor(part, &shape.dims)).unwrap())
        .collect();
    let named = shapes.iter().zip(&variables);
    let named = named.map(|(shape, it)| (shape.name.clone(), it.as_tensor().clone()));
    let parameters = Parameters::from_tensors(named).on(&device.open().unwrap()).unwrap();
    let gru = Gru::new(s.input, s.hidden, bptt, NAME, &parameters).unwrap();
    let states = gru.forward(x.as_tensor()).unwrap();
    assert_eq!(states.dims(), [s.batch, s.steps, s.hidden]);
    let weights = tensor(d_states, states.dims());
    let gradients = states.mul(&weights).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |variable: &Var| flat(gradients.get(variable).unwrap());
    let found = std::array::from_fn(|part| match part {
        0 => of(&x),
        _ => of(&variables[part - 1]),
    });
    (flat(&states), found)
}

#[test]
fn a_gru_gives_the_published_context() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio_modules.safetensors");
    let case = load(path, &Device::Cpu).unwrap();
    let parameter = |name: &str| case[&format!("m5.param.autoregressor.gru.{name}_l0")].clone();
    let transposed = |name: &str| parameter(name).t().unwrap().contiguous().unwrap();
    let (x, expected) = (&case["m5.output"], &case["m5.context"]);
    let (input, hidden) = (x.dim(2).unwrap(), expected.dim(2).unwrap());
    let named = [
        ("input.weight", transposed("weight_ih")),
        ("input.bias", parameter("bias_ih")),
        ("hidden.weight", transposed("weight_hh")),
        ("hidden.bias", parameter("bias_hh")),
    ];
    let named = named.map(|(kind, tensor)| (format!("{NAME}.{kind}"), tensor));
    let parameters = Parameters::from_tensors(named);
    for (device, bptt) in
        [(DeviceName::Cpu, true), (DeviceName::Cpu, false), (DeviceName::Candle, true)]
    {
        let parameters = parameters.on(&device.open().unwrap()).unwrap();
        let gru = Gru::new(input, hidden, bptt, NAME, &parameters).unwrap();
        let found = gru.forward(x).unwrap();
        assert_eq!(found.dims(), expected.dims());
        let (found, expected) = (flat(&found), flat(expected));
        assert!(expected.iter().any(|value| value.abs() > 0.1), "something to compare with");
        let farthest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(farthest <= 1e-5, "{device}: off by {farthest}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_gru_and_its_gradients_are_the_naive_ones(s in sizes(), bptt: bool, seed: u64) {
        let at = s.point(seed, "at");
        let d_states = draw(seed, "gradient", s.states());
        let expected = naive_back(&s, &at, &d_states, bptt);
        for device in [DeviceName::Cpu, DeviceName::Candle] {
            let (states, found) = run(&s, &at, &d_states, bptt, device);
            assert_close("states", &states, &naive(&s, &at), 2e-6)?;
            for (part, name) in PARTS.iter().enumerate() {
                let what = format!("gradient of {name} on {device}");
                assert_close(&what, &found[part], &expected.parts[part], 1e-5)?;
            }
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_the_naive_form(s in sizes(), seed: u64) {
        let at = s.point(seed, "at");
        let d_states = draw(seed, "gradient", s.states());
        let (_, found) = run(&s, &at, &d_states, true, DeviceName::Cpu);
        let found = Point { parts: found.map(|part| part.into_iter().map(f64::from).collect()) };
        let loss = |at: &Point| -> f64 {
            naive(&s, at).iter().zip(&d_states).map(|(state, weight)| state * weight).sum()
        };
        // Along all parts together, and along each alone.
        for part in 0..=PARTS.len() {
            let mut along = s.point(seed ^ 1, "along");
            along.parts.iter_mut().enumerate().filter(|(it, _)| part < PARTS.len() && *it != part)
                .for_each(|(_, values)| values.fill(0.0));
            let step = 1e-5;
            let slope = (loss(&at.moved(&along, step)) - loss(&at.moved(&along, -step))) / (2.0 * step);
            let expected = found.dot(&along);
            let scale = (found.dot(&found) * along.dot(&along)).sqrt().max(1.0);
            prop_assert!((slope - expected).abs() <= 1e-5 * scale, "{}: {} is not {}", part, expected, slope);
        }
    }

    /// What a stage stores must not depend on which rows went through the network together.
    #[test]
    fn a_sample_does_not_depend_on_its_batch(s in sizes(), bptt: bool, seed: u64) {
        let s = Sizes { batch: s.batch + 12, ..s };
        let at = s.point(seed, "at");
        let d_states = draw(seed, "gradient", s.states());
        let (states, [dx, ..]) = run(&s, &at, &d_states, bptt, DeviceName::Cpu);
        for (from, to) in [(0, 1), (2, 5), (s.batch - 1, s.batch), (1, s.batch)] {
            let part = Sizes { batch: to - from, ..s };
            let (x, h) = (s.steps * s.input, s.steps * s.hidden);
            let mut alone = at.clone();
            alone.parts[0] = at.parts[0][from * x..to * x].to_vec();
            let d_states = &d_states[from * h..to * h];
            let (found, [found_dx, ..]) = run(&part, &alone, d_states, bptt, DeviceName::Cpu);
            prop_assert!(found == states[from * h..to * h], "states of {}..{}", from, to);
            prop_assert!(found_dx == dx[from * x..to * x], "gradients of {}..{}", from, to);
        }
    }

    #[test]
    fn threads_change_no_bit_but_of_the_input_weights_gradient(s in sizes(), bptt: bool, seed: u64) {
        let at = s.point(seed, "at");
        let d_states = draw(seed, "gradient", s.states());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&s, &at, &d_states, bptt, DeviceName::Cpu))
        };
        let (states, found) = on(1);
        for threads in [2, 3] {
            let (other_states, other) = on(threads);
            prop_assert!(states == other_states);
            for part in [0, 3, 4] {
                prop_assert!(found[part] == other[part], "{} on {} threads", PARTS[part], threads);
            }
            // A convolution's: each thread sums a share of the steps.
            for part in [1, 2] {
                let expected: Vec<f64> = found[part].iter().map(|it| f64::from(*it)).collect();
                assert_close(PARTS[part], &other[part], &expected, 1e-5)?;
            }
        }
    }
}

#[test]
fn without_bptt_a_state_sends_nothing_to_earlier_steps() {
    let s = Sizes { batch: 2, steps: 6, input: 3, hidden: 5 };
    let mut d_states = vec![0.0; s.states()];
    d_states[4 * s.hidden..5 * s.hidden].fill(1.0);
    for (bptt, device) in
        [(true, DeviceName::Cpu), (false, DeviceName::Cpu), (false, DeviceName::Candle)]
    {
        let (_, [dx, ..]) = run(&s, &s.point(1, "at"), &d_states, bptt, device);
        let reached =
            |step: usize| dx[step * s.input..][..s.input].iter().any(|value| *value != 0.0);
        let expected: Vec<usize> = if bptt { (0..5).collect() } else { vec![4] };
        assert_eq!((0..12).filter(|step| reached(*step)).collect::<Vec<_>>(), expected, "{device}");
    }
}

#[test]
fn a_long_sequence_goes_there_and_back() {
    let s = Sizes { batch: 3, steps: 700, input: 4, hidden: 8 };
    let (at, d_states) = (s.point(1, "at"), draw(1, "gradient", s.states()));
    let expected = naive_back(&s, &at, &d_states, true);
    for device in [DeviceName::Cpu, DeviceName::Candle] {
        let (states, found) = run(&s, &at, &d_states, true, device);
        assert_close("states", &states, &naive(&s, &at), 1e-5).unwrap();
        for (part, name) in PARTS.iter().enumerate() {
            let what = format!("{name} on {device}");
            assert_close(&what, &found[part], &expected.parts[part], 1e-5).unwrap();
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let drawn = Parameters::draw(&shapes(3, 4).map(|it| it.under(NAME)), 1, NAME).unwrap();
    let gru = Gru::new(3, 4, true, NAME, &drawn).unwrap();
    let on_graph = drawn.on(&DeviceName::Candle.open().unwrap()).unwrap();
    let on_graph = Gru::new(3, 4, true, NAME, &on_graph).unwrap();
    for shape in [[2, 5, 4], [2, 0, 3], [0, 5, 3]] {
        let x = Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
        assert!(gru.forward(&x).is_err(), "{shape:?}");
        assert!(shape[0] == 0 || on_graph.forward(&x).is_err(), "{shape:?} on a graph");
    }
    for (input, hidden, name) in [(4, 4, NAME), (3, 5, NAME), (3, 4, "other")] {
        assert!(Gru::new(input, hidden, true, name, &drawn).is_err());
    }
}
