//! Execution providers: who computes, and in which precision.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, ExecutionProviderDispatch};

use crate::error::RuntimeError;

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Provider {
    /// The first of CUDA, OpenVINO and CPU that this machine has. TensorRT is not tried: it takes minutes to build.
    #[default]
    Auto,
    /// ONNX Runtime's own kernels; always there.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// NVIDIA GPUs, by engines built for the graph and kept in a cache directory.
    TensorRt,
    /// Intel and other CPUs with bfloat16, Intel GPUs.
    OpenVino,
}

/// The precision that a provider computes in, where it can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// As the graph says: float32, or int8 and float16 where the graph itself has them.
    #[default]
    Graph,
    /// bfloat16 inside a float32 graph.
    Bf16,
    /// float16 inside a float32 graph.
    Fp16,
}

impl Provider {
    /// All, in the order of their names' first use.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Cpu, Self::Cuda, Self::TensorRt, Self::OpenVino];

    /// Its name in properties and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
        }
    }

    /// The precisions that it can be asked for.
    pub fn precisions(self) -> &'static [Precision] {
        match self {
            Self::Cpu | Self::Cuda => &[Precision::Graph],
            Self::Auto | Self::TensorRt | Self::OpenVino => {
                &[Precision::Graph, Precision::Bf16, Precision::Fp16]
            }
        }
    }

    /// Whether several threads may run one session of it at once, over one copy of the weights.
    ///
    /// ONNX Runtime promises that of its own CPU kernels; `ort`'s users saw crashes with the others.
    pub(crate) fn runs_concurrently(self) -> bool {
        self == Self::Cpu
    }

    /// The providers to try for this one, in order.
    pub(crate) fn candidates(self, precision: Precision) -> Vec<Self> {
        match self {
            Self::Auto => [Self::Cuda, Self::OpenVino, Self::Cpu]
                .into_iter()
                .filter(|p| p.precisions().contains(&precision))
                .collect(),
            named => vec![named],
        }
    }

    /// What to install where it is missing.
    pub(crate) fn install(self) -> &'static str {
        match self {
            Self::Auto | Self::Cpu => "install ONNX Runtime: ./run install",
            Self::Cuda => {
                "install NVIDIA's driver and `pip install 'onnxruntime-gpu[cuda,cudnn]'`, let GST_LISTEN_ONNXRUNTIME \
                 name its onnxruntime/capi and LD_LIBRARY_PATH its nvidia/*/lib"
            }
            Self::TensorRt => {
                "install NVIDIA's driver, `pip install 'onnxruntime-gpu[cuda,cudnn]' tensorrt`, let \
                 GST_LISTEN_ONNXRUNTIME name its onnxruntime/capi and LD_LIBRARY_PATH its \
                 nvidia/*/lib and tensorrt_libs"
            }
            Self::OpenVino => {
                "`pip install onnxruntime-openvino` and let GST_LISTEN_ONNXRUNTIME name its \
                 onnxruntime/capi"
            }
        }
    }

    /// The error that says it is missing.
    pub(crate) fn missing(self, reason: impl fmt::Display) -> RuntimeError {
        RuntimeError::Provider { provider: self, reason: reason.to_string(), install: self.install() }
    }
}

impl Precision {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graph => "the graph's precision",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not one of the names that `Provider::name` gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no execution provider; there are auto, cpu, cuda, tensorrt and openvino")]
pub struct UnknownProvider(pub String);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}

/// How a provider is set up.
pub(crate) struct Setup<'a> {
    pub device: u32,
    pub precision: Precision,
    pub threads: u32,
    pub cache_dir: Option<&'a Path>,
}

/// What is to be registered for `provider`, in order; nothing for the CPU, which is always there.
///
/// # Errors
/// The provider is not in this build of ONNX Runtime, or does not compute in this precision.
pub(crate) fn registrations(
    provider: Provider,
    setup: &Setup<'_>,
) -> Result<Vec<ExecutionProviderDispatch>, RuntimeError> {
    if !provider.precisions().contains(&setup.precision) {
        return Err(RuntimeError::Precision { provider, precision: setup.precision });
    }
    let available = match provider {
        Provider::Auto | Provider::Cpu => return Ok(Vec::new()),
        Provider::Cuda => ep::CUDA::is_available(),
        Provider::TensorRt => ep::TensorRT::is_available(),
        Provider::OpenVino => ep::OpenVINO::is_available(),
    };
    match available {
        Ok(true) => {}
        Ok(false) => return Err(provider.missing("this build of ONNX Runtime does not have it")),
        Err(error) => return Err(provider.missing(error)),
    }
    let device = i32::try_from(setup.device).map_err(|error| provider.missing(error))?;
    // Without TF32, which rounds float32 to 10 bits of mantissa: the precision of the graph is what was asked for.
    let cuda = || ep::CUDA::default().with_device_id(device).with_tf32(false).build().error_on_failure();
    Ok(match provider {
        Provider::Auto | Provider::Cpu => Vec::new(),
        Provider::Cuda => vec![cuda()],
        Provider::TensorRt => vec![tensorrt(device, setup)?, cuda()],
        Provider::OpenVino => vec![openvino(setup)],
    })
}

/// TensorRT with its engines kept on disk.
fn tensorrt(device: i32, setup: &Setup<'_>) -> Result<ExecutionProviderDispatch, RuntimeError> {
    let directory =
        setup.cache_dir.map(Path::to_owned).or_else(|| cache_dir("tensorrt")).ok_or_else(|| {
            Provider::TensorRt.missing("no directory for its engines: neither XDG_CACHE_HOME nor HOME is set")
        })?;
    std::fs::create_dir_all(&directory)
        .map_err(|error| Provider::TensorRt.missing(format_args!("{}: {error}", directory.display())))?;
    let path = directory
        .to_str()
        .ok_or_else(|| Provider::TensorRt.missing(format_args!("{} is not UTF-8", directory.display())))?;
    let engine = ep::TensorRT::default()
        .with_device_id(device)
        .with_engine_cache(true)
        .with_engine_cache_path(path)
        .with_timing_cache(true)
        .with_timing_cache_path(path);
    // An option is named only where it is wanted: older builds refuse those they do not know.
    let engine = match setup.precision {
        Precision::Graph => engine,
        Precision::Bf16 => engine.with_bf16(true),
        Precision::Fp16 => engine.with_fp16(true),
    };
    Ok(engine.build().error_on_failure())
}

/// OpenVINO: device 0 is the CPU, device n the (n-1)th GPU.
///
/// `load_config` takes the JSON itself; the provider's own option for precision refuses bf16.
fn openvino(setup: &Setup<'_>) -> ExecutionProviderDispatch {
    let hint = match setup.precision {
        Precision::Graph => "f32",
        Precision::Bf16 => "bf16",
        Precision::Fp16 => "f16",
    };
    let (device, config) = match setup.device {
        0 => {
            let threads = match setup.threads {
                0 => String::new(),
                n => format!(r#","INFERENCE_NUM_THREADS":"{n}""#),
            };
            let config =
                format!(r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"{hint}","NUM_STREAMS":"1"{threads}}}}}"#);
            ("CPU".to_owned(), config)
        }
        n => {
            let device = format!("GPU.{}", n - 1);
            (device, format!(r#"{{"GPU":{{"INFERENCE_PRECISION_HINT":"{hint}"}}}}"#))
        }
    };
    ep::OpenVINO::default()
        .with_device_type(device)
        .with_arbitrary_config("load_config", config)
        .build()
        .error_on_failure()
}

/// `$XDG_CACHE_HOME/gst-listen/NAME`, or the same under `~/.cache`.
pub(crate) fn cache_dir(name: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("gst-listen").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_parsed_back() {
        for provider in Provider::ALL {
            assert_eq!(provider.name().parse(), Ok(provider));
        }
        assert_eq!("gpu".parse::<Provider>(), Err(UnknownProvider("gpu".into())));
    }

    #[test]
    fn auto_tries_gpu_then_openvino_then_cpu_and_never_tensorrt() {
        use Provider::*;
        assert_eq!(Auto.candidates(Precision::Graph), [Cuda, OpenVino, Cpu]);
    }

    #[test]
    fn auto_tries_only_what_computes_in_the_precision_asked_for() {
        assert_eq!(Provider::Auto.candidates(Precision::Bf16), [Provider::OpenVino]);
    }

    #[test]
    fn a_named_provider_is_tried_alone() {
        for provider in &Provider::ALL[1..] {
            assert_eq!(provider.candidates(Precision::Graph), [*provider]);
        }
    }

    #[test]
    fn the_cpu_refuses_bf16_and_says_what_it_takes() {
        let setup = Setup { device: 0, precision: Precision::Bf16, threads: 1, cache_dir: None };
        let error = registrations(Provider::Cpu, &setup).err().map(|e| e.to_string());
        let expected = "execution provider cpu does not compute in bf16; it takes the graph's precision";
        assert_eq!(error.as_deref(), Some(expected));
    }
}
