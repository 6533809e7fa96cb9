//! Adam (Kingma & Ba 2015, algorithm 1), fused and in place by our kernel, or by candle's operations.

use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};
use rayon::prelude::*;

use crate::device::{self, Device};
use crate::parameters::{ParameterShape, Parameters};
use crate::{Error, Kind, Result};
use gimlet_kernel::values;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Values per rayon task.
const CHUNK: usize = 1 << 15;

/// The optimiser of one module's parameters.
pub struct Adam {
    learning_rate: f64,
    /// Number of steps taken.
    steps: u64,
    parameters: Vec<Parameter>,
    device: Device,
}

/// A variable with its first and second moments.
struct Parameter {
    name: String,
    variable: Var,
    moments: Moments,
}

/// The first and the second moments; each has the shape of the variable.
enum Moments {
    /// Plain values, for our kernel.
    Values(Mutex<[Vec<f32>; 2]>),
    /// Tensors, for devices without our kernel.
    Tensors([Tensor; 2]),
}

const MOMENTS: [&str; 2] = ["first", "second"];

impl Adam {
    /// A new optimiser for variables that lie on `device`.
    ///
    /// # Errors
    /// When the device has no memory for the moments.
    pub fn new(variables: Vec<(String, Var)>, learning_rate: f64, device: &Device) -> Result<Self> {
        let parameters = variables.into_iter().map(|(name, variable)| {
            let zeros = || vec![0.0; variable.elem_count()];
            let moments = Moments::new([zeros(), zeros()], &variable, device)?;
            Ok(Parameter { name, variable, moments })
        });
        let parameters = parameters.collect::<Result<_>>()?;
        Ok(Self { learning_rate, steps: 0, parameters, device: device.clone() })
    }

    /// Updates every variable that has a gradient.
    ///
    /// # Errors
    /// When the shapes of a variable and its gradient differ.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.steps += 1;
        let power = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let step_size = self.learning_rate / (1.0 - BETA1.powi(power));
        let second_scale = 1.0 / (1.0 - BETA2.powi(power)).sqrt();
        for Parameter { variable, moments, .. } in &mut self.parameters {
            let Some(gradient) = gradients.get(variable.as_tensor()) else { continue };
            match moments {
                Moments::Values(moments) => {
                    let (step_size, second_scale) = (step_size as f32, second_scale as f32);
                    let update = Update { step_size, second_scale, moments };
                    variable.as_tensor().inplace_op2(&gradient.contiguous()?, &update)?;
                }
                Moments::Tensors(moments) => {
                    update(variable, gradient, moments, step_size, second_scale)?;
                }
            }
        }
        Ok(())
    }

    /// The moments, as tensors named `first.<parameter>` and `second.<parameter>`.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn state(&self) -> Result<Parameters> {
        let mut tensors = Vec::with_capacity(2 * self.parameters.len());
        for parameter in &self.parameters {
            for (kind, moment) in
                MOMENTS.iter().zip(parameter.moments.tensors(&parameter.variable)?)
            {
                tensors.push((format!("{kind}.{}", parameter.name), moment));
            }
        }
        Ok(Parameters::from_tensors(tensors))
    }

    /// Restores the moments of a [`Self::state`] that was taken after `steps` steps.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when a moment is missing or has another shape.
    pub fn restore(&mut self, state: &Parameters, steps: u64) -> Result<()> {
        self.steps = steps;
        for parameter in &mut self.parameters {
            let read = |kind: &str| -> Result<Vec<f32>> {
                let (name, dims) =
                    (format!("{kind}.{}", parameter.name), parameter.variable.dims());
                let shape = ParameterShape::drawn(name, dims.to_vec(), 1);
                Ok(state.get(&shape)?.flatten_all()?.to_vec1()?)
            };
            let [first, second] = MOMENTS.map(read);
            parameter.moments = Moments::new([first?, second?], &parameter.variable, &self.device)?;
        }
        Ok(())
    }

    /// Fails unless every variable holds finite numbers only.
    ///
    /// # Errors
    /// [`Kind::Failed`], naming the first parameter with another value.
    pub fn check_finite(&self) -> Result<()> {
        for parameter in &self.parameters {
            let values = parameter.variable.flatten_all()?.to_vec1::<f32>()?;
            if values.iter().any(|value| !value.is_finite()) {
                let message = format!("parameter `{}` is not finite", parameter.name);
                return Err(Error::new(Kind::Failed, message));
            }
        }
        Ok(())
    }
}

impl Moments {
    fn new(values: [Vec<f32>; 2], variable: &Var, device: &Device) -> Result<Self> {
        if device.has_kernels() {
            return Ok(Self::Values(Mutex::new(values)));
        }
        let tensor = |values| Tensor::from_vec(values, variable.shape(), device.tensors());
        let [first, second] = values.map(tensor);
        Ok(Self::Tensors([first?, second?]))
    }

    /// Copies of the moments in host memory.
    fn tensors(&self, variable: &Var) -> Result<[Tensor; 2]> {
        let [first, second] = match self {
            Self::Values(values) => {
                let values = values.lock().unwrap_or_else(PoisonError::into_inner);
                values.each_ref().map(|it| {
                    Ok(Tensor::from_slice(it, variable.shape(), &candle_core::Device::Cpu)?)
                })
            }
            Self::Tensors(tensors) => tensors.each_ref().map(device::home),
        };
        Ok([first?, second?])
    }
}

/// The computation of [`Update`] with candle's operations.
fn update(
    variable: &Var,
    gradient: &Tensor,
    moments: &mut [Tensor; 2],
    step_size: f64,
    second_scale: f64,
) -> Result<()> {
    let [first, second] = moments;
    *first = ((&*first * BETA1)? + (gradient * (1.0 - BETA1))?)?;
    *second = ((&*second * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
    let scale = ((second.sqrt()? * second_scale)? + EPSILON)?;
    Ok(variable.set(&variable.as_tensor().sub(&((&*first * step_size)? / scale)?)?)?)
}

/// One step of one variable: with moments m and v after this step, t steps in all,
/// `p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)`.
struct Update<'a> {
    step_size: f32,
    second_scale: f32,
    moments: &'a Mutex<[Vec<f32>; 2]>,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        variable: &mut CpuStorage,
        variable_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(variable), Some((start, end))) =
            (variable, variable_layout.contiguous_offsets())
        else {
            candle_core::bail!("adam needs contiguous f32 variables")
        };
        let gradient = values(gradient, gradient_layout, self.name())?;
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let [first, second] = &mut *moments;
        variable[start..end]
            .par_chunks_mut(CHUNK)
            .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)))
            .zip(gradient.par_chunks(CHUNK))
            .for_each(|((p, (m, v)), g)| {
                for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
                    *m += (1.0 - BETA1) as f32 * (g - *m);
                    *v = BETA2 as f32 * *v + (1.0 - BETA2) as f32 * g * g;
                    *p -= self.step_size * *m / (v.sqrt() * self.second_scale + EPSILON as f32);
                }
            });
        Ok(())
    }
}
