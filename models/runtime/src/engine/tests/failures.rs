//! Models that fail.

use super::*;

#[test]
fn a_panic_in_the_model_is_the_error_of_its_batch_and_of_no_other() {
    let stage = Stage::new(1, 8);
    let (a, b) = (stage.engine.client(), stage.engine.client());
    stage.submit(&a, 1, up_to(2, HOUR));
    stage.submit(&b, 2, up_to(2, HOUR));
    stage.go[0].send(Go::Panic).unwrap();
    let panic = RuntimeError::Panic { message: "strings cut".into() };
    assert_eq!((recv(&a), recv(&b)), (Err(panic.clone()), Err(panic)));

    stage.submit(&a, 3, Limits::default());
    stage.let_go();
    assert_eq!(recv(&a), Ok(30));
}

#[test]
fn an_error_of_the_model_reaches_the_client_of_its_window() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.submit(&client, 7, Limits::default());
    stage.go[0].send(Go::Fail).unwrap();
    assert_eq!(recv(&client), Err(RuntimeError::Run { reason: "7".into() }));
}

#[test]
fn a_model_that_gives_too_few_results_is_an_error_with_both_numbers() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.submit(&client, 1, up_to(2, HOUR));
    stage.submit(&client, 2, up_to(2, HOUR));
    stage.go[0].send(Go::Short(1)).unwrap();
    let error = Err(RuntimeError::Results { expected: 2, found: 1 });
    assert_eq!((recv(&client), recv(&client)), (error.clone(), error));
}
