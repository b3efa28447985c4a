//! What the program says about itself, and how its streams and exit codes behave.

use insta::assert_snapshot;

use crate::support::Workplace;

#[test]
fn help_of_the_program() {
    let help = Workplace::new().run("--help").worked();
    assert_snapshot!(help, @r"
    Extends the context window of RoPE language models by LongRoPE: search, compare, evaluate, export.

    Usage: longrope [OPTIONS] <COMMAND>

    Commands:
      demo      The whole story on the bundled tiny model, in minutes
      inspect   What a checkpoint is: its windows, RoPE and size
      doctor    What other programs make of a checkpoint's RoPE, and how to run it there
      pretrain  Trains a tokenizer and a small model from scratch
      search    Searches rescale factors for a longer context
      recover   Searches factors for short contexts of an extended model
      compare   A perplexity table of RoPE methods by context
      eval      Measures a model at given contexts
      worker    Lends this machine's devices to searches on other machines
      finetune  Trains a model under a rescaled RoPE
      extend    Runs the stages of a recipe: search, train, search again, recover, evaluate, export
      plan      Memory and time of evaluation, search and training, before you start
      report    One HTML page about a run folder
      generate  Continues a prompt
      export    Writes the checkpoint with another RoPE, ready for other programs
      help      Print this message or the help of the given subcommand(s)

    Options:
      -v, --verbose...  More log lines on stderr; twice for still more
      -h, --help        Print help
      -V, --version     Print version
    ");
}

#[test]
fn help_of_search() {
    let help = Workplace::new().run("search --help").worked();
    assert_snapshot!(help, @r"
    Searches rescale factors for a longer context

    Usage: longrope search [OPTIONS]

    Options:
          --config <FILE>          Configuration file (TOML); flags and `--set` override it
          --set <KEY=VALUE>        Sets a configuration key, for instance `search.population=32`;
                                   repeatable
          --device <DEVICE>        Where to compute: flex, ndarray, wgpu[:N], vulkan[:N|:cpu], cuda[:N],
                                   remote:ws://HOST:PORT; repeatable
          --model <DIR>            Checkpoint folder
          --text <PATH>...         Text: files, folders or JSON lines, also .gz and .zst; repeatable
          --tokens <FILE>          Token ids instead of text: a JSON list of ids, or a list of such
                                   lists
          --target <N>             Context wanted, tokens
          --out <DIR>              Run folder
          --profile <NAME>         Which search: paper, official, v2 or fast
          --init <R>               Factors to start from as well, or to search ratios on top of: a
                                   rope.json, a factor CSV, or a published name
          --stage <STAGE>          What is searched for: factors, or ratios to those of --init
          --objective <OBJECTIVE>  What is minimized: perplexity, needle or combined
          --samples <N>            Samples every candidate is scored on
          --seed <N>               Seed of every random choice
          --resume                 Continues the search in the run folder
          --tui                    A dashboard in the terminal instead of a progress bar; `q` stops and
                                   saves
          --json                   JSON on stdout
      -v, --verbose...             More log lines on stderr; twice for still more
      -h, --help                   Print help
    ");
}

#[test]
fn help_of_eval_ppl() {
    let help = Workplace::new().run("eval ppl --help").worked();
    assert_snapshot!(help, @r"
    Perplexity over windows of text

    Usage: longrope eval ppl [OPTIONS]

    Options:
          --config <FILE>     Configuration file (TOML); flags and `--set` override it
          --set <KEY=VALUE>   Sets a configuration key, for instance `search.population=32`; repeatable
          --device <DEVICE>   Where to compute: flex, ndarray, wgpu[:N], vulkan[:N|:cpu], cuda[:N],
                              remote:ws://HOST:PORT; repeatable
          --model <DIR>       Checkpoint folder
          --text <PATH>...    Text: files, folders or JSON lines, also .gz and .zst; repeatable
          --tokens <FILE>     Token ids instead of text: a JSON list of ids, or a list of such lists
          --contexts <N,..>   Contexts, tokens, separated by commas
          --rope <R>...       checkpoint, none, pi, ntk, dynamic-ntk, yarn, llama3, scaled for each
                              context, METHOD@CONTEXT for one, or a rope.json, factor CSV or HF
                              config.json; repeatable
          --windows <N>       Windows per document, spread evenly
          --stride <N>        Overlapping windows instead: tokens from one to the next
          --protocol <NAME>   Whose perplexity: longrope, yarn, truncate or llama.cpp
          --out <DIR>         Run folder: results go there
          --per-token <FILE>  Writes one JSON line per scored token
          --json              JSON on stdout
      -v, --verbose...        More log lines on stderr; twice for still more
      -h, --help              Print help
    ");
}

#[test]
fn every_verb_has_help_that_fits_a_terminal() {
    let here = Workplace::new();
    for verb in [
        "demo", "inspect", "doctor", "search", "compare", "eval", "eval ppl", "export",
    ] {
        let help = here.run(&format!("{verb} --help")).worked();
        assert!(help.contains("Usage: longrope "), "{help}");
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{help}");
    }
}

#[test]
fn the_version_is_that_of_the_workspace() {
    let version = Workplace::new().run("--version").worked();
    assert_eq!(
        version,
        concat!("longrope ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_wrong_flag_is_the_users_input() {
    let outcome = Workplace::new().run("eval ppl --contexs 32");
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("'--contexts'"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    let here = Workplace::new();
    for flags in ["--windows 2 --stride 16", "--text a.txt --tokens b.json"] {
        let outcome = here.run(&format!("eval ppl --model m --contexts 32 {flags}"));
        assert_eq!(outcome.code, Some(1), "{flags}");
        assert!(outcome.stderr.contains("cannot be used with"), "{flags}");
    }
}

#[test]
fn results_go_to_stdout_and_nothing_else_does() {
    let here = Workplace::with_model();
    let line = "eval ppl --model m --tokens tokens.json --contexts 32 --json";
    let plain = here.run(line);
    assert_eq!(plain.stderr, "");
    assert_eq!(plain.stdout.lines().count(), 1);
    assert!(plain.stdout.starts_with('{'), "{}", plain.stdout);
    let verbose = here.run(&format!("{line} -vv"));
    assert_eq!(verbose.stdout.lines().count(), 1);
}

#[test]
fn inspection_is_readable() {
    let here = Workplace::with_model();
    let text = here.run("inspect m").worked();
    assert_snapshot!(text, @r"
    model             m
    family            llama
    parameters        24,768
    layers            2 of width 32, MLP 48
    heads             4 query, 2 key/value, 16 wide
    vocabulary        97, tied embeddings
    weights           96.8 KiB in 1 file(s), F32
    original context  32 tokens
    claimed context   32 tokens
    rope              none, theta 10000, 16 rotated of 16
    sliding window    none
    attention scale   1.000000
    fingerprint       5d8950bda1e8aeeb4a823798061b8eb825aa8bfe8c7d2302fd0ff64035dd3902
    ");
}

#[test]
fn an_inspection_tells_of_sliding_windows() {
    let here = Workplace::new();
    here.checkpoint("../families/qwen2-layers", "q");
    let text = here.run("inspect q").worked();
    let expected = "20 tokens in 2 of 3 layers; a longer context reaches no further there";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn later_layers_of_configuration_win() {
    let here = Workplace::with_model();
    here.write("a.toml", "contexts = [16]\n[eval]\nwindows = 3\n");
    let line = "eval ppl --model m --tokens tokens.json --config a.toml --json";
    let measured = |line: &str| {
        let json = here.compute_json(line);
        let result = &json["results"][0];
        (result["context"].clone(), result["n_windows"].clone())
    };
    assert_eq!(measured(line), (16.into(), 3.into()));
    let line = format!("{line} --set eval.windows=4 --set contexts=[24]");
    assert_eq!(measured(&line), (24.into(), 4.into()));
    let line = format!("{line} --contexts 32 --windows 5");
    assert_eq!(measured(&line), (32.into(), 5.into()));
}
