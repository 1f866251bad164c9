//! One session that several threads run at once: the only unsafe code of this crate, but for two calls of [`exit`](crate::exit).
//!
//! The workers of an engine share one copy of the weights. ONNX Runtime offers two ways to that, and only one gives
//! one copy. Initializers handed in from outside, with a container of prepacked weights, are shared by sessions, but
//! each matrix then exists twice (as given and as packed), every worker parses and optimises the graph again, and the
//! graph must be taken apart first. One session run by several threads needs none of that: `Run` of the CPU kernels
//! is documented as safe to call concurrently (microsoft/onnxruntime#114), and most servers use it so.
//!
//! `ort` takes `&mut self` for every provider, since others do crash. So this module calls `Run` itself, and
//! [`Provider::runs_concurrently`](crate::Provider) lets only sessions of the CPU provider be shared; a session of
//! any other provider has one owner, whose `&mut` stands in [`Session::run`](crate::Session::run).
#![allow(unsafe_code, reason = "`ort` has no concurrent `run`; see above for why this is sound")]

use std::ffi::{CString, c_char};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::value::DynValue;

use crate::error::{RuntimeError, run_failed};
use crate::exit::Pass;

/// An ONNX Runtime session with the names of its ends as C wants them.
pub(crate) struct Callable {
    session: ManuallyDrop<ort::session::Session>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

impl Callable {
    /// `inputs` and `outputs` are the names of all ends that a run may give an index of.
    ///
    /// # Errors
    /// A name of the graph has a NUL in it.
    pub(crate) fn new(
        session: ort::session::Session,
        inputs: Vec<String>,
        outputs: Vec<String>,
    ) -> Result<Self, String> {
        let names = |ends: Vec<String>| -> Result<Vec<CString>, String> {
            ends.into_iter()
                .map(|name| CString::new(name.as_str()).map_err(|_| format!("{name:?} has a NUL")))
                .collect()
        };
        Ok(Self { inputs: names(inputs)?, outputs: names(outputs)?, session: ManuallyDrop::new(session) })
    }

    /// Runs the graph: `inputs` are pairs of an input's index and its value, `outputs` indices of outputs.
    ///
    /// Gives one value for each index in `outputs`, in that order. The caller has checked the indices, names, types
    /// and shapes; a wrong value is still an error of ONNX Runtime's and no worse. Called from several threads at
    /// once only where the provider allows that (see the module).
    pub(crate) fn run(
        &self,
        inputs: &[(usize, &DynValue)],
        outputs: &[usize],
    ) -> Result<Vec<DynValue>, RuntimeError> {
        let input_names: Vec<*const c_char> = inputs.iter().map(|(i, _)| self.inputs[*i].as_ptr()).collect();
        let input_values: Vec<_> = inputs.iter().map(|(_, value)| value.ptr()).collect();
        let output_names: Vec<*const c_char> = outputs.iter().map(|i| self.outputs[*i].as_ptr()).collect();
        let mut values = vec![ptr::null_mut::<ort::sys::OrtValue>(); outputs.len()];

        // SAFETY: the session lives as long as `self`. Names are NUL-terminated strings and values tensors, each as
        // many as the count beside them says, and all outlive the call. ONNX Runtime writes as many outputs as there
        // are null pointers in `values`.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                input_names.as_ptr(),
                input_values.as_ptr(),
                input_values.len(),
                output_names.as_ptr(),
                output_names.len(),
                values.as_mut_ptr(),
            )
        };
        // SAFETY: the status is what `Run` gave, and nobody else frees it.
        unsafe { ort::Error::result_from_status(status) }.map_err(run_failed)?;

        values
            .into_iter()
            .map(|value| {
                let value = NonNull::new(value).ok_or_else(|| run_failed("an output was not computed"))?;
                // SAFETY: a value that `Run` made and nobody else owns. `Run` puts outputs where the session's
                // default allocator, the CPU's, makes them, unless told otherwise.
                Ok(unsafe { DynValue::from_ptr(value, Some(self.session.allocator())) })
            })
            .collect()
    }
}

impl Drop for Callable {
    fn drop(&mut self) {
        // While the process exits, the library may be gone at any time: then the session is left to the system.
        if let Ok(_pass) = Pass::get() {
            // SAFETY: `self` is not used again.
            unsafe { ManuallyDrop::drop(&mut self.session) };
        }
    }
}
