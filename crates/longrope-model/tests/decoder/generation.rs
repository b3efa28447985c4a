//! Generation compared with transformers, and with the cache compared with no cache.

use burn::tensor::Device;
use longrope_model::{
    Error, FIRST_CAPACITY, FactorChoice, GenerateOptions, Generation, KvCache, Sampling, TokenBatch,
};
use longrope_rope::{RopeScaling, RopeSpec};
use serde::Deserialize;

use crate::support::{CHECKPOINTS, fixture, load, losses};

#[derive(Deserialize)]
struct Expected {
    generation: Vec<Continuation>,
}

#[derive(Deserialize)]
struct Continuation {
    name: String,
    prompt: Vec<u32>,
    max_new_tokens: usize,
    tokens: Vec<u32>,
}

fn continuations(checkpoint: &str) -> Vec<Continuation> {
    let text = fs_err::read_to_string(fixture(checkpoint).join("expected.json")).unwrap();
    serde_json::from_str::<Expected>(&text).unwrap().generation
}

fn generate(checkpoint: &str, prompts: &[&[u32]], options: &GenerateOptions) -> Vec<Vec<u32>> {
    let decoder = load(checkpoint);
    let spec = &decoder.config().rope;
    let mut run = Generation::new(&decoder, spec, prompts, options.clone(), 1).unwrap();
    while run.step().unwrap().is_some() {}
    run.new_tokens().into_iter().map(<[u32]>::to_vec).collect()
}

fn greedy(max_new_tokens: usize, factors: FactorChoice) -> GenerateOptions {
    GenerateOptions {
        max_new_tokens,
        factors,
        ..GenerateOptions::default()
    }
}

#[test]
fn a_cache_that_grows_gives_the_same_tokens() {
    let prompt: &[u32] = &[1, 2, 3];
    let tokens =
        |n| generate("llama-gqa-tied", &[prompt], &greedy(n, FactorChoice::Total)).remove(0);
    let (short, long) = (tokens(FIRST_CAPACITY), tokens(FIRST_CAPACITY + 60));
    assert_eq!(long.len(), FIRST_CAPACITY + 60);
    assert_eq!(long[..FIRST_CAPACITY], short);
}

#[test]
fn prompts_that_are_read_ahead_give_the_same_bits() {
    for checkpoint in ["llama-gqa-tied", "mistral-window"] {
        let decoder = load(checkpoint);
        let spec = &decoder.config().rope;
        let prompt = |n: u32| (0..n).map(|i| i * 7 % 60).collect::<Vec<u32>>();
        // The first leaves more than one token, the second exactly one after a whole piece, the third is one piece.
        let prompts = [prompt(1100), prompt(1025), prompt(512)];
        let slices: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let run = |ahead: bool| {
            let options = greedy(3, FactorChoice::Total);
            let mut run = Generation::new(&decoder, spec, &slices, options, 1).unwrap();
            let mut n_pieces = 0;
            while ahead && run.read_ahead().unwrap() {
                n_pieces += 1;
            }
            assert_eq!(n_pieces, if ahead { 3 } else { 0 });
            while run.step().unwrap().is_some() {}
            let logits = run.into_caches().into_iter().map(|(tokens, mut cache)| {
                let last = &tokens[cache.n_tokens()..];
                decoder.next_logits(last, &mut cache).unwrap()
            });
            logits.collect::<Vec<Vec<f32>>>()
        };
        assert_eq!(run(true), run(false), "{checkpoint}");
    }
}

#[test]
fn a_maximum_beyond_all_memory_is_allocated_by_need() {
    let decoder = load("llama-gqa-tied");
    let prompt: &[u32] = &[1, 2, 3];
    let spec = &decoder.config().rope;
    let options = greedy(usize::MAX, FactorChoice::Total);
    let mut run = Generation::new(&decoder, spec, &[prompt], options, 1).unwrap();
    assert!(run.step().unwrap().is_some());
}

#[test]
fn greedy_tokens_are_those_of_transformers() {
    let checkpoints = [
        ("mistral-window", 1),
        ("phi3-longrope", 3),
        ("phi3-window", 3),
        ("qwen2-biases", 1),
        ("qwen2-layers", 1),
        ("llama-longrope", 2),
    ];
    for (checkpoint, n) in checkpoints {
        let continuations = continuations(checkpoint);
        assert_eq!(continuations.len(), n, "{checkpoint}");
        for case in continuations {
            assert_eq!((case.max_new_tokens, case.tokens.len()), (64, 64));
            // `crossing` is how transformers handles Phi-3: it runs the sequence again when its length requires the
            // other factors. In all other cases the factors are fixed at the start.
            let factors = if case.name == "crossing" {
                FactorChoice::Length
            } else {
                FactorChoice::Total
            };
            let found = generate(checkpoint, &[&case.prompt], &greedy(64, factors));
            assert_eq!(found[0], case.tokens, "{checkpoint}, {}", case.name);
        }
    }
}

#[test]
fn prompts_of_a_batch_do_not_see_each_other() {
    for checkpoint in ["phi3-longrope", "qwen2-layers"] {
        let prompts: [&[u32]; 3] = [&[5, 9, 11, 30], &[7; 40], &[60]];
        let options = greedy(12, FactorChoice::Total);
        let together = generate(checkpoint, &prompts, &options);
        for (prompt, tokens) in prompts.iter().zip(&together) {
            assert_eq!(*tokens, generate(checkpoint, &[prompt], &options)[0]);
        }
    }
}

/// `SelfExtend` whose grouped positions begin within the prompts.
const GROUPED: RopeScaling = RopeScaling::SelfExtend {
    group: 4,
    window: 7,
};

/// Tolerance for f32 rounding between one row and many.
const SAME: f32 = 1e-5;

#[test]
fn tokens_that_are_run_together_have_the_logits_of_tokens_alone() {
    let own = CHECKPOINTS.into_iter().chain(["phi3-longrope"]);
    let cases = own.map(|checkpoint| (checkpoint, None));
    for (checkpoint, scaling) in cases.chain([("llama-gqa-tied", Some(GROUPED))]) {
        let decoder = load(checkpoint);
        let spec = match scaling {
            None => decoder.config().rope.clone(),
            Some(scaling) => RopeSpec {
                scaling,
                ..decoder.config().rope.plain()
            },
        };
        // The products of a few rows are those of each row on this backend.
        let tolerance = if *decoder.device() == Device::flex() {
            0.0
        } else {
            SAME
        };
        let prompts: [&[u32]; 3] = [&[5, 9, 11, 30], &[7; 40], &[60]];
        // The second sequence is beyond the window: with two factor sets, it has others.
        let window = spec.original_context;
        let ropes = [window, window + 1, window].map(|n| spec.resolve(n));
        let caches = || {
            std::array::from_fn::<_, 3, _>(|row| {
                let mut cache = decoder.kv_cache(48, &ropes[row]);
                decoder.next_logits(prompts[row], &mut cache).unwrap();
                cache
            })
        };
        let (mut alone, mut together) = (caches(), caches());
        for tokens in [[3, 4, 5], [61, 8, 13]] {
            let mut all: Vec<&mut KvCache> = together.iter_mut().collect();
            let found = decoder.next_logits_together(&tokens, &mut all).unwrap();
            for (row, (token, cache)) in tokens.iter().zip(&mut alone).enumerate() {
                let expected = decoder.next_logits(&[*token], cache).unwrap();
                for (x, y) in found[row].iter().zip(&expected) {
                    let off = (x - y).abs();
                    assert!(off <= tolerance, "{checkpoint}, row {row}: {x} is not {y}");
                }
            }
        }
        for (cache, prompt) in together.iter().zip(prompts) {
            assert_eq!(cache.n_tokens(), prompt.len() + 2);
        }
        let mut full = decoder.kv_cache(1, &ropes[0]);
        decoder.next_logits(&[3], &mut full).unwrap();
        let [first, ..] = &mut together;
        let before = first.n_tokens();
        let result = decoder.next_logits_together(&[3, 3], &mut [first, &mut full]);
        assert!(matches!(result, Err(Error::CacheFull { .. })));
        assert_eq!(together[0].n_tokens(), before);
    }
}

#[test]
fn any_way_through_the_cache_gives_the_same_logits() {
    for checkpoint in [
        "llama-gqa-tied",
        "mistral-window",
        "phi3-window",
        "qwen2-layers",
    ] {
        let decoder = load(checkpoint);
        let tokens: Vec<u32> = (0..60).map(|i| 3 + (i * 11) % 90).collect();
        let rope = decoder.config().rope.resolve(60);
        let logits = |pieces: &[usize]| {
            let mut cache = decoder.kv_cache(60, &rope);
            let mut last = Vec::new();
            let mut rest = tokens.as_slice();
            for n in pieces {
                let (piece, tail) = rest.split_at(*n);
                last = decoder.next_logits(piece, &mut cache).unwrap();
                rest = tail;
            }
            assert!(rest.is_empty() && cache.n_tokens() == 60);
            last
        };
        let whole = logits(&[60]);
        for pieces in [&[1; 60][..], &[59, 1], &[1, 30, 29]] {
            for (x, y) in logits(pieces).iter().zip(&whole) {
                assert!(
                    (x - y).abs() < SAME,
                    "{checkpoint}, {pieces:?}: {x} is not {y}"
                );
            }
        }
    }
}

#[test]
fn cached_logits_are_those_of_evaluation() {
    let decoder = load("mistral-window");
    let tokens: Vec<u32> = (0..50).map(|i| 3 + (i * 7) % 90).collect();
    let nll = losses(&decoder, &decoder.config().rope, &tokens);
    let mut cache = decoder.kv_cache(50, &decoder.config().rope.resolve(50));
    for (i, token) in tokens[..49].iter().enumerate() {
        let logits = decoder.next_logits(&[*token], &mut cache).unwrap();
        let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let expected = total.ln() - f64::from(logits[tokens[i + 1] as usize]);
        assert!(
            (f64::from(nll[i]) - expected).abs() < f64::from(SAME),
            "token {i}"
        );
    }
}

#[test]
fn one_forward_tells_whether_greedy_generation_would_say_the_same() {
    for checkpoint in CHECKPOINTS {
        let prompt: Vec<u32> = (0..40).map(|i| (i * 7 + 3) % 97).collect();
        let generated =
            generate(checkpoint, &[&prompt], &greedy(12, FactorChoice::Total)).remove(0);
        let decoder = load(checkpoint);
        let forced = |answer: &[u32]| {
            let sequence = [&prompt, answer].concat();
            let rope = decoder.config().rope.resolve(sequence.len());
            let rotary = decoder.rotary(&rope, sequence.len());
            let batch = TokenBatch {
                sequences: &[&sequence],
                score_from: prompt.len(),
            };
            decoder.greedy_tokens(batch, &rotary).unwrap().remove(0)
        };
        assert_eq!(forced(&generated), generated, "{checkpoint}");
        // If a token of the answer is wrong, greedy tokens agree with generation up to and including its position.
        let mut wrong = generated.clone();
        wrong[5] = (wrong[5] + 1) % 97;
        assert_eq!(forced(&wrong)[..6], generated[..6], "{checkpoint}");
    }
}

#[test]
fn a_stop_token_ends_its_sequence_only() {
    let all = generate(
        "qwen2-biases",
        &[&[5, 9], &[8, 20]],
        &greedy(20, FactorChoice::Total),
    );
    let stop = all[0][4];
    let options = GenerateOptions {
        stop_tokens: vec![stop],
        ..greedy(20, FactorChoice::Total)
    };
    let stopped = generate("qwen2-biases", &[&[5, 9], &[8, 20]], &options);
    for (all, stopped) in all.iter().zip(&stopped) {
        let end = all
            .iter()
            .position(|token| *token == stop)
            .map_or(20, |at| at + 1);
        assert_eq!(stopped, &all[..end]);
    }
    assert!(stopped[0].len() <= 5);
}

#[test]
fn sampling_repeats_with_its_seed() {
    let options = GenerateOptions {
        sampling: Sampling::Random {
            temperature: 1.0,
            top_k: Some(20),
            top_p: Some(0.9),
        },
        ..greedy(30, FactorChoice::Total)
    };
    let run = || generate("llama-gqa-tied", &[&[5, 9], &[5, 9]], &options);
    let first = run();
    assert_eq!(first, run());
    assert_ne!(
        first[0], first[1],
        "sequences have random numbers of their own"
    );
}

#[test]
fn what_cannot_be_generated_is_an_error() {
    let decoder = load("llama-gqa-tied");
    let spec = &decoder.config().rope;
    let options = greedy(4, FactorChoice::Total);
    let empty = Generation::new(&decoder, spec, &[&[]], options.clone(), 1);
    assert!(matches!(empty, Err(Error::EmptyPrompt)));
    let mut outside = Generation::new(&decoder, spec, &[&[97]], options, 1).unwrap();
    assert!(matches!(
        outside.step(),
        Err(Error::TokenOutOfVocabulary { token: 97, .. })
    ));
    let mut cache = decoder.kv_cache(3, &spec.resolve(3));
    let full = decoder.next_logits(&[1, 2, 3, 4], &mut cache);
    assert!(matches!(
        full,
        Err(Error::CacheFull {
            needed: 4,
            capacity: 3
        })
    ));
    assert!(matches!(
        decoder.next_logits(&[], &mut cache),
        Err(Error::EmptyPrompt)
    ));
}
