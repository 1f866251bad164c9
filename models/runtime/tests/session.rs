//! Sessions with the real ONNX Runtime. Without the library these tests fail, and say where it was looked for and how
//! to install it. The graphs are made by `fixtures/make.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use listen_runtime::{
    ElementType, Engine, EngineOptions, GraphSource, Limits, Model, Optimization, Precision, Provider,
    RuntimeError, Session, SessionOptions, SharedWeights, Side, Tensor, TensorRef,
};

type Outcome = Result<(), RuntimeError>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn cpu() -> SessionOptions {
    SessionOptions { provider: Provider::Cpu, ..SessionOptions::default() }
}

fn small() -> Result<Session, RuntimeError> {
    Session::load(&GraphSource::Path(&fixture("small.onnx")), &cpu())
}

const X: [f32; 8] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0];

fn x() -> Result<TensorRef<'static>, RuntimeError> {
    TensorRef::f32(&[2, 4], &X)
}

fn ids() -> Result<TensorRef<'static>, RuntimeError> {
    TensorRef::i64(&[2], &[7, -1])
}

#[test]
fn a_graph_from_a_file_computes_what_it_says() -> Outcome {
    let outputs = small()?.run(&[("x", x()?), ("ids", ids()?)], &["twice", "y"])?;
    assert_eq!(outputs[0], Tensor::i64([2], vec![14, -2])?);
    // Row 1 is W's first row, row 2 its second and twice its fourth; and the bias.
    assert_eq!(outputs[1], Tensor::f32([2, 3], vec![0.5, 0.5, 102.0, 21.5, 23.5, 127.0])?);
    Ok(())
}

#[test]
fn a_graph_from_memory_gives_the_same_as_from_its_file() -> Outcome {
    let bytes = std::fs::read(fixture("small.onnx")).unwrap();
    let mut session = Session::load(&GraphSource::Bytes(&bytes), &cpu())?;
    drop(bytes);
    let inputs = [("ids", ids()?), ("x", x()?)];
    assert_eq!(session.run(&inputs, &["y"])?, small()?.run(&inputs, &["y"])?);
    Ok(())
}

/// Guards what YAMNet and every int8 graph rest on; only a processor with AVX2 and without VNNI can fail here.
#[test]
fn products_of_8_bits_do_not_overflow_on_any_processor() -> Outcome {
    let mut session = Session::load(&GraphSource::Path(&fixture("int8.onnx")), &cpu())?;
    let mut run = |value: f32, output| {
        let x = [value; 8];
        let tensor = session.run(&[("x", TensorRef::f32(&[1, 8], &x)?)], &[output])?.swap_remove(0);
        tensor.into_f32().ok_or(RuntimeError::Results { expected: 1, found: 0 })
    };
    // Columns of the weights: all 127, all -127, 127 beside 1, and pairs of 127 before pairs of -127 and -1.
    let sums = [8.0 * 127.0, -8.0 * 127.0, 4.0 * 128.0, 2.0 * 126.0];
    for (value, output, step) in [(2.55, "matrix", 0.0), (1.27, "convolution", 6.4516)] {
        for (found, sum) in run(value, output)?.iter().zip(sums) {
            let expected = 0.005 * value * sum;
            assert!((found - expected).abs() <= step / 2.0 + 1e-3, "{output}: {found}, expected {expected}");
        }
    }
    Ok(())
}

/// Only a processor without VNNI can fail here too: others need not be kept from it.
#[test]
fn a_graph_that_cannot_be_kept_from_overflowing_still_runs() -> Outcome {
    let mut session = Session::load(&GraphSource::Path(&fixture("int8-shared.onnx")), &cpu())?;
    let x = [255.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]; // one product alone overflows nowhere
    let y = session.run(&[("x", TensorRef::f32(&[1, 8], &x)?)], &["y"])?;
    assert_eq!(y[0], Tensor::f32([1, 4], vec![64_770.0, -64_770.0, 32_640.0, 32_130.0])?);
    Ok(())
}

#[test]
fn a_session_tells_what_the_graph_takes_and_gives() -> Outcome {
    let session = small()?;
    let text = |ports: &[listen_runtime::Port]| ports.iter().map(|p| p.to_string()).collect::<Vec<_>>();
    assert_eq!(text(session.inputs()), ["x float32 [?, 4]", "ids int64 [?]"]);
    let outputs = text(session.outputs());
    assert_eq!(outputs[..2], ["y float32 [?, 3]", "twice int64 [?]"]);
    assert!(matches!(session.output("positive")?.element, ElementType::Other(_)));
    assert_eq!(session.input("x")?.dims, [None, Some(4)]);
    assert_eq!(session.provider(), Provider::Cpu);
    Ok(())
}

#[test]
fn an_unknown_name_is_an_error_with_the_names_there_are() -> Outcome {
    let mut session = small()?;
    let error = session.run(&[("mel", x()?), ("ids", ids()?)], &["y"]).unwrap_err();
    assert_eq!(error.to_string(), r#"the graph has no input named "mel"; it has x, ids"#);
    let error = session.run(&[("x", x()?), ("ids", ids()?)], &["tokens"]).unwrap_err();
    assert_eq!(error.to_string(), r#"the graph has no output named "tokens"; it has y, twice, positive"#);
    assert!(matches!(session.input("tokens"), Err(RuntimeError::Name { side: Side::Input, .. })));
    Ok(())
}

#[test]
fn a_missing_input_is_named_with_those_given() -> Outcome {
    let error = small()?.run(&[("x", x()?)], &["y"]).unwrap_err();
    assert_eq!(error, RuntimeError::Missing { name: "ids".into(), given: vec!["x".into()] });
    Ok(())
}

#[test]
fn a_wrong_shape_is_an_error_with_both_shapes() -> Outcome {
    let wrong = TensorRef::f32(&[4, 2], &X)?;
    let error = small()?.run(&[("x", wrong), ("ids", ids()?)], &["y"]).unwrap_err();
    assert_eq!(error.to_string(), r#"input "x" is [?, 4] in the graph, [4, 2] here"#);
    let flat = TensorRef::f32(&[8], &X)?;
    assert!(matches!(small()?.run(&[("x", flat), ("ids", ids()?)], &["y"]), Err(RuntimeError::Shape { .. })));
    Ok(())
}

#[test]
fn a_wrong_element_type_is_an_error_with_both_types() -> Outcome {
    let error =
        small()?.run(&[("x", TensorRef::i64(&[1, 4], &[0; 4])?), ("ids", ids()?)], &["y"]).unwrap_err();
    assert_eq!(error.to_string(), r#"input "x" is float32 in the graph, int64 here"#);
    let error = small()?.run(&[("x", x()?), ("ids", ids()?)], &["positive"]).unwrap_err();
    assert!(matches!(error, RuntimeError::Type { side: Side::Output, .. }), "{error}");
    Ok(())
}

#[test]
fn an_empty_input_is_an_error() -> Outcome {
    let empty = TensorRef::f32(&[0, 4], &[])?;
    assert!(small()?.run(&[("x", empty), ("ids", ids()?)], &["y"]).is_err());
    Ok(())
}

#[test]
fn a_session_works_on_after_an_error() -> Outcome {
    let mut session = small()?;
    let short = TensorRef::f32(&[1, 4], &[0.0; 4])?;
    assert!(session.run(&[("mel", short)], &["y"]).is_err());
    assert_eq!(session.run(&[("x", short), ("ids", TensorRef::i64(&[1], &[0])?)], &["y"])?[0].shape, [1, 3]);
    Ok(())
}

#[test]
fn truncated_and_alien_files_are_errors_that_name_the_graph() {
    let bytes = std::fs::read(fixture("small.onnx")).unwrap();
    for broken in [&bytes[..bytes.len() / 2], &bytes[..1], &[], b"no graph at all", &[0xff; 64]] {
        let error = Session::load(&GraphSource::Bytes(broken), &cpu()).map(|_| ()).unwrap_err();
        assert!(matches!(error, RuntimeError::Load { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("graph of {} bytes", broken.len())), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Session::load(&GraphSource::Path(Path::new("/nonexistent/encoder.onnx")), &cpu()).map(|_| ());
    let text = error.unwrap_err().to_string();
    assert!(
        text.starts_with("/nonexistent/encoder.onnx cannot be loaded by execution provider cpu: "),
        "{text}"
    );
}

/// Values without a pattern, the same in each run.
fn noise(seed: usize, n: usize) -> Vec<f32> {
    (0..n).map(|i| ((seed * 7919 + i * 104_729) as f64 * 0.618_034).fract() as f32 * 4.0 - 2.0).collect()
}

#[test]
fn a_rows_result_does_not_depend_on_what_else_is_in_the_batch() -> Outcome {
    let mut session = Session::load(&GraphSource::Path(&fixture("rows.onnx")), &cpu())?;
    let rows: Vec<Vec<f32>> = (0..9).map(|r| noise(r, 64)).collect();
    let batch = rows.concat();
    let together = session.run(&[("x", TensorRef::f32(&[9, 64], &batch)?)], &["y"])?.swap_remove(0);
    for (row, expected) in rows.iter().zip(together.as_f32().unwrap().chunks(64)) {
        let alone = session.run(&[("x", TensorRef::f32(&[1, 64], row)?)], &["y"])?.swap_remove(0);
        for (a, b) in alone.as_f32().unwrap().iter().zip(expected) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} alone, {b} in the batch");
        }
    }
    Ok(())
}

#[test]
fn every_level_of_optimization_computes_the_same() -> Outcome {
    let input = noise(1, 64);
    let mut outputs = Vec::new();
    for optimization in [Optimization::None, Optimization::Basic, Optimization::All] {
        let options = SessionOptions { optimization, ..cpu() };
        let mut session = Session::load(&GraphSource::Path(&fixture("rows.onnx")), &options)?;
        outputs.push(session.run(&[("x", TensorRef::f32(&[1, 64], &input)?)], &["y"])?.swap_remove(0));
    }
    for output in &outputs[1..] {
        for (a, b) in output.as_f32().unwrap().iter().zip(outputs[0].as_f32().unwrap()) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} against {b}");
        }
    }
    Ok(())
}

#[test]
fn a_provider_that_this_build_lacks_is_an_error_by_name_with_what_to_install() {
    // None of the builds for a CPU that people install has CUDA and TensorRT.
    for (provider, package) in [(Provider::Cuda, "onnxruntime-gpu"), (Provider::TensorRt, "tensorrt")] {
        let options = SessionOptions { provider, ..SessionOptions::default() };
        match Session::load(&GraphSource::Path(&fixture("small.onnx")), &options) {
            Ok(session) => assert_eq!(session.provider(), provider),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(provider.name()), "{text}");
                assert!(!matches!(error, RuntimeError::Provider { .. }) || text.contains(package), "{text}");
            }
        }
    }
}

#[test]
fn auto_says_which_provider_runs_and_always_finds_one() -> Outcome {
    let options = SessionOptions { provider: Provider::Auto, ..SessionOptions::default() };
    let mut session = Session::load(&GraphSource::Path(&fixture("small.onnx")), &options)?;
    assert_ne!(session.provider(), Provider::Auto);
    session.run(&[("x", x()?), ("ids", ids()?)], &["y"])?;
    Ok(())
}

#[test]
fn a_precision_that_the_provider_lacks_is_refused() {
    let options = SessionOptions { precision: Precision::Bf16, ..cpu() };
    let error = Session::load(&GraphSource::Path(&fixture("small.onnx")), &options).map(|_| ());
    assert_eq!(error, Err(RuntimeError::Precision { provider: Provider::Cpu, precision: Precision::Bf16 }));
}

#[test]
fn weights_are_not_shared_between_two_graphs() -> Outcome {
    let options = SessionOptions { weights: Some(SharedWeights::new(2)), ..cpu() };
    let _first = Session::load(&GraphSource::Path(&fixture("small.onnx")), &options)?;
    let second = Session::load(&GraphSource::Path(&fixture("rows.onnx")), &options).map(|_| ());
    assert!(matches!(second, Err(RuntimeError::Shared { .. })), "{second:?}");
    Ok(())
}

#[test]
fn two_graphs_in_memory_are_told_apart_by_their_contents_and_not_their_size() -> Outcome {
    let first = std::fs::read(fixture("small.onnx")).unwrap();
    let mut second = first.clone();
    // The bias 0.5 becomes 0.75: the same size, another graph.
    let bias = 0.5f32.to_le_bytes();
    let at = second.windows(4).position(|w| w == bias).unwrap();
    second[at..at + 4].copy_from_slice(&0.75f32.to_le_bytes());
    let options = SessionOptions { weights: Some(SharedWeights::new(2)), ..cpu() };
    let _session = Session::load(&GraphSource::Bytes(&first), &options)?;
    assert!(Session::load(&GraphSource::Bytes(&first.clone()), &options).is_ok());
    let other = Session::load(&GraphSource::Bytes(&second), &options).map(|_| ());
    assert!(matches!(other, Err(RuntimeError::Shared { .. })), "{other:?}");
    Ok(())
}

#[test]
fn sessions_over_one_copy_of_the_weights_run_at_once_and_give_what_one_alone_gives() -> Outcome {
    for intra_op_threads in [1, 2] {
        let options = SessionOptions { intra_op_threads, ..cpu() };
        let graph = fixture("rows.onnx");
        let inputs: Vec<_> = (0..50).map(|n| noise(n, 64)).collect();
        let mut alone = Session::load(&GraphSource::Path(&graph), &options)?;
        let run = |session: &mut Session, input: &[f32]| {
            session.run(&[("x", TensorRef::f32(&[1, 64], input)?)], &["y"]).map(|mut o| o.swap_remove(0))
        };
        let expected: Vec<_> = inputs.iter().map(|i| run(&mut alone, i)).collect::<Result<_, _>>()?;

        let options = SessionOptions { weights: Some(SharedWeights::new(4)), ..options };
        let sessions: Vec<_> =
            (0..4).map(|_| Session::load(&GraphSource::Path(&graph), &options)).collect::<Result<_, _>>()?;
        thread::scope(|scope| {
            for mut session in sessions {
                let (inputs, expected) = (&inputs, &expected);
                scope.spawn(move || {
                    for _ in 0..20 {
                        for (input, expected) in inputs.iter().zip(expected) {
                            assert_eq!(run(&mut session, input).as_ref(), Ok(expected));
                        }
                    }
                });
            }
        });
    }
    Ok(())
}

struct Rows(Session);

impl Model for Rows {
    type Input = Vec<f32>;
    type Output = Vec<f32>;

    fn run(&mut self, batch: &mut Vec<Vec<f32>>) -> Vec<Result<Vec<f32>, RuntimeError>> {
        let all = batch.concat();
        let shape = [batch.len(), 64];
        let outputs = TensorRef::f32(&shape, &all).and_then(|x| self.0.run(&[("x", x)], &["y"]));
        match outputs {
            Ok(outputs) => outputs[0].as_f32().unwrap().chunks(64).map(|row| Ok(row.to_vec())).collect(),
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

#[test]
fn an_engine_of_real_sessions_serves_several_clients() -> Outcome {
    let graph = fixture("rows.onnx");
    let options = SessionOptions { weights: Some(SharedWeights::new(2)), ..cpu() };
    let engine = Engine::new(EngineOptions { workers: 2, queue: 8 }, |_| {
        Session::load(&GraphSource::Path(&graph), &options).map(Rows)
    })?;
    let mut alone = Rows(Session::load(&GraphSource::Path(&graph), &cpu())?);
    let expected: Vec<_> =
        (0..40).map(|n| alone.run(&mut vec![noise(n, 64)]).swap_remove(0).unwrap()).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            let client = Arc::new(engine.client());
            let expected = &expected;
            scope.spawn(move || {
                let submitting = Arc::clone(&client);
                scope.spawn(move || {
                    (0..40).for_each(|n| submitting.submit(noise(n, 64), Limits::default()).unwrap());
                });
                for expected in expected {
                    assert_eq!(client.recv_timeout(Duration::from_secs(120)).unwrap().as_ref(), Ok(expected));
                }
            });
        }
    });
    assert_eq!(engine.stats().windows, 160);
    Ok(())
}
