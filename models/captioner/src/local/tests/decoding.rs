//! Token for token against `transformers`, value for value against NumPy, and what each step costs.

use super::*;

fn truth(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(folder(name).join("truth.json")).unwrap();
    serde_json::from_str::<Truth>(&text).unwrap().cases
}

#[derive(Deserialize)]
struct Truth {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    prompt: String,
    system: String,
    audio: Option<Vec<f32>>,
    prompt_ids: Vec<Option<u32>>,
    tokens: Vec<u32>,
}

#[test]
fn every_answer_is_that_of_transformers_token_for_token() {
    for name in TINY {
        let mut model = model(name);
        let cases = truth(name);
        assert!(cases.len() >= 3, "{name}");
        for case in cases {
            let parts = model.parts(&case.system, &case.prompt).unwrap();
            assert_eq!(flat(&parts), case.prompt_ids, "{name}: {:?}", case.prompt);
            let window = case.audio.as_deref().map(window);
            let windows: Vec<&Embedding> = window.iter().collect();
            let answer = greedy(&mut model, &parts, &windows, case.tokens.len());
            assert_eq!(answer.ids, case.tokens, "{name}: {:?}", case.prompt);
        }
    }
}

#[test]
fn a_repetition_penalty_is_that_of_transformers_token_for_token() {
    #[derive(Deserialize)]
    struct Penalties {
        prompt: String,
        system: String,
        cases: Vec<Penalty>,
    }
    #[derive(Deserialize)]
    struct Penalty {
        penalty: f32,
        tokens: Vec<u32>,
    }
    let text = std::fs::read_to_string(folder("penalty.json")).unwrap();
    let truth: Penalties = serde_json::from_str(&text).unwrap();
    let mut model = model("tiny-qwen2");
    let parts = model.parts(&truth.system, &truth.prompt).unwrap();
    let limit = Limit::new(&Cancel::new(), None);
    for Penalty { penalty, tokens } in truth.cases {
        let sampling = Sampling { repetition_penalty: penalty, ..Sampling::default() };
        let ends = Ends { max_tokens: tokens.len(), stop: Vec::new() };
        let answer = model.answer(&parts, &[], (sampling, &ends), &limit, |_| {}).unwrap();
        assert_eq!((answer.ids, answer.finish), (tokens, Finish::Length), "{penalty}");
    }
}

#[test]
fn a_token_of_stop_ends_the_answer_and_is_no_part_of_it() {
    let case = &truth("tiny-qwen2")[0];
    // Where a token comes for the first time, an answer that it ends must end.
    let at = 10;
    assert!(!case.tokens[..at].contains(&case.tokens[at]), "{:?}", case.tokens);
    let mut model = model("tiny-qwen2");
    let parts = model.parts(&case.system, &case.prompt).unwrap();
    let ends = Ends { max_tokens: 24, stop: vec![262_143, case.tokens[at]] };
    let limit = Limit::new(&Cancel::new(), None);
    let answer = model.answer(&parts, &[], (Sampling::default(), &ends), &limit, |_| {}).unwrap();
    assert_eq!((answer.ids.as_slice(), answer.finish), (&case.tokens[..at], Finish::Stop));
}

#[test]
fn a_step_computes_one_position_however_much_was_said() {
    let mut model = model("tiny-llama");
    let parts = model.parts("", &"a dog barks at the rain ".repeat(10)).unwrap();
    let window = window(&[0.25; 16]);
    let prompt = model.positions(&parts, 1);
    let answer = greedy(&mut model, &parts, &[&window], 200);
    assert_eq!(answer.ids.len(), 200);
    let prompts = prompt.div_ceil(MOST_POSITIONS);
    assert!(prompts > 2, "{prompt} positions");
    let (first, steps) = answer.runs.split_at(prompts);
    assert_eq!(first.iter().sum::<usize>(), prompt);
    assert!(first.iter().all(|&run| run <= MOST_POSITIONS), "{first:?}");
    assert_eq!(steps, [1; 199], "the last token is not fed");
}

#[test]
fn a_prompt_fed_in_pieces_gives_the_logits_of_one_fed_whole() {
    let mut model = model("tiny-qwen2");
    let parts = model.parts("", &"dog ".repeat(60)).unwrap();
    let Some(Part::Ids(ids)) = parts.first() else { panic!("{parts:?}") };
    let (pieces, one_by_one) = model.both_ways(ids);
    let furthest = pieces.iter().zip(&one_by_one).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(pieces.len() == 266 && furthest < 1e-4, "{furthest}");
}

#[test]
fn a_projector_of_frames_is_given_all_of_a_window() {
    #[derive(Deserialize)]
    struct Case {
        window: Vec<Vec<f32>>,
        prefix: Vec<Vec<f64>>,
    }
    let hears_frames = |json: &mut serde_json::Value| {
        let block = &mut json["captioner"];
        block["projector"]["takes"] = "frames".into();
        block["projector"]["prefix"] = 3.into();
        block.as_object_mut().unwrap().remove("self_test");
    };
    let mut local =
        changed("tiny-llama", &[("projector.onnx", "frames-projector.onnx")], hears_frames).unwrap();
    assert_eq!(local.takes(), Some(Output::Frames));
    let text = std::fs::read_to_string(folder("frames-projector.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert_eq!(cases.iter().map(|case| case.window.len()).collect::<Vec<_>>(), [1, 5]);
    for case in &cases {
        let window = Embedding { rows: case.window.len(), ..window(&case.window.concat()) };
        let prefix = local.model.prefix(&window).unwrap();
        let expected = case.prefix.concat();
        assert_eq!(prefix.len(), 3 * 16);
        let furthest =
            prefix.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(furthest < 1e-5, "{furthest}");
        let scene = Scene { embeddings: vec![window.into()], ..scene("dog") };
        assert!(local.reply(&Request::caption(scene), &Cancel::new(), &mut |_| {}).is_ok());
    }
    let other = Embedding { rows: 2, ..window(&[0.0; 24]) };
    assert_eq!(
        local.model.prefix(&other).unwrap_err().to_string(),
        "the decoder's projector takes vectors of 16 values a window (output=frames), found 2 of 12: set `output` of m2dencode"
    );
}
