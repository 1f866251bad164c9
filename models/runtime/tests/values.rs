//! Outputs that are fed back, and tensors without values, with the real ONNX Runtime.

use std::path::Path;

use listen_runtime::{
    Argument, GraphSource, Provider, RuntimeError, Session, SessionOptions, TensorRef, Value,
};

type Outcome = Result<(), RuntimeError>;

fn session(name: &str) -> Result<Session, RuntimeError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let options = SessionOptions { provider: Provider::Cpu, ..SessionOptions::default() };
    Session::load(&GraphSource::Path(&path), &options)
}

/// `present` and `sum` of what is kept and one row more.
fn step(session: &mut Session, past: Argument<'_>, row: [f32; 2]) -> Result<[Value; 2], RuntimeError> {
    let x = TensorRef::f32(&[1, 1, 2], &row)?;
    let outputs = session.run_values(&[("past", past), ("x", Argument::Tensor(x))], &["present", "sum"])?;
    Ok(outputs.try_into().expect("two were asked for"))
}

#[test]
fn a_cache_begins_empty_and_grows_by_what_each_run_adds() -> Outcome {
    let mut session = session("grow.onnx")?;
    let nothing = TensorRef::f32(&[1, 0, 2], &[])?;
    let [mut kept, sum] = step(&mut session, Argument::Tensor(nothing), [1.0, 2.0])?;
    assert_eq!((kept.shape(), kept.f32()?, sum.f32()?), (&[1, 1, 2][..], &[1.0, 2.0][..], &[3.0][..]));
    for n in 2..50_u16 {
        let [grown, sum] = step(&mut session, Argument::Value(&kept), [f32::from(n), 0.0])?;
        assert_eq!(grown.shape(), [1, usize::from(n), 2]);
        assert_eq!(sum.f32()?, [f32::from(n * (n + 1) / 2) + 2.0]);
        kept = grown;
    }
    assert_eq!(&kept.f32()?[..4], [1.0, 2.0, 2.0, 0.0]);
    Ok(())
}

#[test]
fn a_value_outlives_its_session_and_goes_to_another_thread() -> Outcome {
    let kept = {
        let mut session = session("grow.onnx")?;
        let [kept, _] = step(&mut session, Argument::Tensor(TensorRef::f32(&[1, 0, 2], &[])?), [4.0, 5.0])?;
        kept
    };
    std::thread::spawn(move || {
        assert_eq!(kept.f32(), Ok(&[4.0, 5.0][..]));
        let [kept, _] = step(&mut session("grow.onnx")?, Argument::Value(&kept), [6.0, 7.0])?;
        assert_eq!(kept.f32()?, [4.0, 5.0, 6.0, 7.0]);
        Outcome::Ok(())
    })
    .join()
    .expect("it does not panic")
}

#[test]
fn what_does_not_fit_is_refused_with_both_sides() -> Outcome {
    let mut session = session("grow.onnx")?;
    let nothing = TensorRef::f32(&[1, 0, 2], &[])?;
    let [_, sum] = step(&mut session, Argument::Tensor(nothing), [1.0, 2.0])?;
    let x = Argument::Tensor(nothing);
    let mut refused = |inputs: &[(&str, Argument<'_>)]| {
        session.run_values(inputs, &["sum"]).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(
        refused(&[("past", Argument::Value(&sum)), ("x", x)]),
        Err("input \"past\" is [1, ?, 2] in the graph, [] here".into())
    );
    assert_eq!(refused(&[("x", x)]), Err("the graph's input \"past\" was not given; given: x".into()));
    assert_eq!(
        refused(&[("past", Argument::Tensor(TensorRef::i64(&[1, 0, 2], &[])?)), ("x", x)]),
        Err("input \"past\" is float32 in the graph, int64 here".into())
    );
    Ok(())
}
