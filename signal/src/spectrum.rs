use std::sync::Arc;

use realfft::RealFftPlanner;
use realfft::RealToComplex;
use realfft::num_complex::Complex32;

use crate::Error;

/// A Fourier transform of real signals of one length.
pub struct Spectrum {
    transform: Arc<dyn RealToComplex<f32>>,
    signal: Vec<f32>,
    spectrum: Vec<Complex32>,
}

impl Spectrum {
    /// Prepares the transform of `size` samples.
    pub fn new(size: usize) -> Self {
        let transform = RealFftPlanner::<f32>::new().plan_fft_forward(size);
        let (signal, spectrum) = (transform.make_input_vec(), transform.make_output_vec());
        Self { transform, signal, spectrum }
    }

    /// Computes the power of each frequency of a signal, `[size / 2 + 1]`; `fill` writes the signal.
    ///
    /// # Errors
    /// When the signal cannot be transformed.
    pub fn power(&mut self, fill: impl FnOnce(&mut [f32])) -> Result<Vec<f32>, Error> {
        fill(&mut self.signal);
        self.transform.process(&mut self.signal, &mut self.spectrum).map_err(Error::of)?;
        Ok(self.spectrum.iter().map(|it| it.norm_sqr()).collect())
    }
}
