use longrope_data::{Skips, TokenDocument, document_bos, stretched_positions};
use longrope_eval::NeedleText;
use longrope_model::TokenBatch;
use longrope_rope::AttentionScale;
use longrope_search::{Candidate, SearchConfig};
use longrope_trainer::run::{AdapterTraining, AdapterWindows, AsBefore};

use super::*;
use crate::scoring::tests::tiny;
use crate::search::AdaptConfig;
use crate::search::calibration::shape::SampleShape;

const TARGET: usize = 128;
const WINDOW: usize = 32;
const SEED: u64 = 3;

fn adapt() -> AdaptConfig {
    AdaptConfig {
        steps: 2,
        learning_rate: 1e-2,
        rank: 2,
        alpha: 4.0,
        ..AdaptConfig::default()
    }
}

fn documents() -> Vec<TokenDocument> {
    let tokens = (0..500).map(|i| (i * i + 3 * i) % 97).collect();
    vec![TokenDocument {
        source: String::new(),
        tokens,
    }]
}

fn adaptation(decoder: &Decoder) -> Arc<Adaptation> {
    let started = adapt().start(decoder, &documents(), None, TARGET, SEED, None);
    started.unwrap().0
}

/// Three stretches of text, at positions up to the target.
fn samples() -> Vec<CalibrationSample> {
    let skips = Skips {
        target: TARGET,
        pieces: 4,
        share: 1.0,
    };
    let text = |index: u32| ((0..32).map(|i| (i * i + 31 * index) % 97).collect(), 1);
    SampleShape::skipped(WINDOW, skips, SEED).texts((0..3).map(text))
}

fn target(decoder: &Decoder) -> TargetRope {
    TargetRope::factors(&decoder.config().rope, TARGET)
}

fn candidates(target: &TargetRope) -> Vec<Candidate> {
    let space = SearchConfig::default().space(&target.problem()).unwrap();
    let pairs = space.n_pairs();
    let near = |factor: f64| space.nearest(&vec![factor; pairs], 0, AttentionScale::None {});
    [1.0, 2.0, 4.0].map(|factor| near(factor).unwrap()).to_vec()
}

/// All candidates on all samples.
fn losses(objective: &mut ModelObjective<'_>, candidates: &[Candidate]) -> Vec<BlockLosses> {
    let jobs: Vec<Job<'_>> = candidates
        .iter()
        .flat_map(|candidate| (0..3).map(move |sample| Job { candidate, sample }))
        .collect();
    let outcomes = objective.evaluate(&jobs).unwrap();
    let losses = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Losses(losses) => losses,
        other => panic!("{other:?}"),
    });
    losses.collect()
}

#[test]
fn a_score_is_that_of_a_copy_trained_by_hand() {
    let models = tiny(&["flex"]);
    let decoder = models.decoder();
    let target = target(decoder);
    let candidates = candidates(&target);
    let mut frozen = ModelObjective::on(decoder, &target, samples());
    let mut adapted =
        ModelObjective::on(decoder, &target, samples()).with_adaptation(Some(adaptation(decoder)));
    let (frozen, adapted) = (
        losses(&mut frozen, &candidates),
        losses(&mut adapted, &candidates),
    );
    let documents: Arc<[TokenDocument]> = documents().into();
    let training = AdapterTraining::new(
        decoder,
        adapt().training(TARGET),
        AdapterWindows {
            documents: &documents,
            tokenizer: None,
            bos: document_bos(decoder.config().bos_token, None, &documents),
            window: WINDOW,
            seed: SEED,
            as_before: AsBefore::default(),
        },
    )
    .unwrap();
    let skips = Skips {
        target: TARGET,
        pieces: 4,
        share: 1.0,
    };
    for (index, candidate) in candidates.iter().enumerate() {
        let rope = target.candidate_spec(candidate).unwrap();
        let copy = training.train(decoder, &rope).unwrap();
        for (number, sample) in samples().iter().enumerate() {
            let number = u64::try_from(number).unwrap();
            // The seed of positions is not that of the training.
            let positions = stretched_positions(WINDOW, skips, (SEED + 0x905, number));
            let rotary = copy.rotaries().at(&rope.resolve(TARGET), vec![positions]);
            let batch = TokenBatch {
                sequences: &[sample.tokens()],
                score_from: 1,
            };
            let by_hand = sample
                .blocks(&copy.token_nll(batch, &rotary).unwrap())
                .unwrap();
            let place = 3 * index + usize::try_from(number).unwrap();
            assert_eq!(adapted[place], by_hand);
            assert_ne!(adapted[place], frozen[place]);
        }
    }
}

#[test]
fn adapted_scores_do_not_depend_on_workers_nor_on_their_order() {
    let models = tiny(&["flex", "flex", "flex"]);
    let decoder = models.decoder();
    let target = target(decoder);
    let candidates = candidates(&target);
    let new = |scoring| {
        ModelObjective::new(scoring, &target, samples()).with_adaptation(Some(adaptation(decoder)))
    };
    let here = Scoring::Here(Box::new(Measurer::new(decoder)));
    let expected = losses(&mut new(here), &candidates);
    let workers = Scoring::Workers(Workers::start(&models).unwrap());
    assert_eq!(losses(&mut new(workers), &candidates), expected);
    let mortal = Workers::start_mortal(&models, &[1, 2, usize::MAX]).unwrap();
    assert_eq!(
        losses(&mut new(Scoring::Workers(mortal)), &candidates),
        expected
    );
    // Sample by sample, as in a race, and after a call that forgot the adapters.
    let mut race = new(Scoring::Workers(Workers::start(&models).unwrap()));
    for sample in [2, 0, 1] {
        let jobs: Vec<Job<'_>> = candidates
            .iter()
            .map(|candidate| Job { candidate, sample })
            .collect();
        let outcomes = race.evaluate(&jobs).unwrap();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(
                outcome,
                Outcome::Losses(expected[3 * index + sample].clone())
            );
        }
        if sample == 0 {
            race.clear_scores().unwrap();
        }
    }
}

#[test]
fn a_candidate_that_cannot_be_trained_fails_alone() {
    let models = tiny(&["flex"]);
    let decoder = models.decoder();
    let target = target(decoder);
    let config = AdaptConfig {
        learning_rate: 1e38,
        steps: 4,
        ..adapt()
    };
    let (adaptation, _) = config
        .start(decoder, &documents(), None, TARGET, SEED, None)
        .unwrap();
    let mut objective =
        ModelObjective::on(decoder, &target, samples()).with_adaptation(Some(adaptation));
    let candidates = candidates(&target);
    let jobs = [Job {
        candidate: &candidates[0],
        sample: 0,
    }];
    let outcomes = objective.evaluate(&jobs).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Failed(_)]), "{outcomes:?}");
}

#[test]
fn text_and_needles_are_two_kinds_of_samples() {
    let models = tiny(&["flex"]);
    let decoder = models.decoder();
    let needle = NeedleText {
        tokens: vec![1; WINDOW],
        answer_from: 30,
        fillers: [0..10, 20..30],
    };
    let mut all = samples();
    all.extend(SampleShape::whole(WINDOW).needles([needle]));
    let objective = ModelObjective::on(decoder, &target(decoder), all);
    let kinds: Vec<usize> = (0..4).map(|sample| objective.kind(sample)).collect();
    assert_eq!(kinds, [0, 0, 0, 1]);
}
