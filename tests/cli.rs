//! Help, version, output streams and exit codes.

use insta::assert_snapshot;

use crate::support::Workplace;

#[test]
fn help_of_the_program() {
    let help = Workplace::new().run("--help").worked();
    assert_snapshot!(help, @r"
    Extends the context window of RoPE language models by LongRoPE: search, fine-tune, evaluate, export,
    on any Burn backend.

    Usage: longrope [OPTIONS] <COMMAND>

    Commands:
      demo          Run the main steps on the bundled tiny model, in minutes
      inspect       Show the sizes, contexts, RoPE and fingerprint of a checkpoint
      doctor        Show how other programs read a checkpoint's RoPE, and how to run it there
      pretrain      Train a tokenizer and a small model from scratch
      search        Search rescale factors for a longer context
      recover       Search factor sets for the short contexts of an extended model
      compare       Print perplexity by RoPE method and context
      compare-runs  Compare the results of two runs on the same windows and trials
      eval          Measure a model at given contexts
      worker        Lend this machine's devices to other machines
      finetune      Train all weights or low-rank adapters under a rescaled RoPE
      extend        Run a recipe of searches, trainings and measurements, stage by stage
      plan          Estimate the memory and time of evaluation, search and training
      report        Write an HTML page about a run folder
      generate      Continue prompts
      export        Write the checkpoint with another RoPE, for other programs
      verify        Check that another program computes the same losses from a checkpoint
      completions   Print the completions of a shell
      man           Print the manual page, or write those of all verbs
      help          Print this message or the help of the given subcommand(s)

    Options:
      -v, --verbose...  Print more log lines on stderr; -vv prints still more
      -h, --help        Print help
      -V, --version     Print version
    ");
}

#[test]
fn shells_complete_every_verb() {
    let here = Workplace::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = here.run(&format!("completions {shell}")).worked();
        for word in ["longrope", "compare-runs", "passkey", "max-new-tokens"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let message = here.run("completions tcsh").refused();
    assert!(message.contains("possible values: bash"), "{message}");
}

#[test]
fn every_verb_has_a_manual_page() {
    let here = Workplace::new();
    let page = here.run("man").worked();
    assert!(page.contains(".TH longrope 1"), "{page}");
    let shown = here.run("man --out man").worked();
    let pages: Vec<String> = fs_err::read_dir(here.path("man"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        shown.contains(&format!("wrote {} pages", pages.len())),
        "{shown}"
    );
    for name in ["longrope.1", "longrope-search.1", "longrope-eval-ppl.1"] {
        assert!(pages.contains(&name.to_owned()), "{pages:?}");
    }
    let ppl = here.read("man/longrope-eval-ppl.1");
    assert!(ppl.contains("contexts"), "{ppl}");
}

#[test]
fn help_of_search() {
    let help = Workplace::new().run("search --help").worked();
    assert_snapshot!(help, @r"
    Search rescale factors for a longer context

    Usage: longrope search [OPTIONS] [MODEL]

    Arguments:
      [MODEL]  Checkpoint folder, GGUF file or `hf:OWNER/NAME`; also accepted as --model MODEL

    Options:
          --config <FILE>          Configuration file (TOML); flags and `--set` override it
          --set <KEY=VALUE>        Set a configuration key, for example `search.population=32`;
                                   repeatable
          --device <DEVICE>        Device to compute on: flex (default), ndarray,
                                   wgpu[:N|:cpu|:integrated], vulkan[:N|:cpu|:integrated],
                                   metal[:N|:integrated], cuda[:N], rocm[:N], remote:ws://HOST:PORT; A+B
                                   puts some layers on each; repeatable where the verb uses several
          --force                  Start even if the job needs more memory than there is
          --text <PATH>...         Text: files or folders of plain text, JSON lines or Parquet, or
                                   `hf:OWNER/NAME`; repeatable
          --tokens <FILE>          Token ids to use instead of text: a JSON list of ids, or a list of
                                   such lists
          --target <N>             Context to extend to, in tokens
          --out <DIR>              Run folder
          --profile <NAME>         Search profile: paper (default), official, v2 or fast
          --init <R>               Factors to add to the seeds, or to search ratios on top of: a
                                   rope.json, a factor CSV or a published name
          --stage <STAGE>          What to search: factors (default), or ratios to the factors of --init
          --objective <OBJECTIVE>  What to minimize: perplexity, needle (default of profile v2),
                                   combined, or auto (default): combined if the model finds passkeys
                                   within its own window, else perplexity
          --samples <N>            Text samples that every candidate is scored on; default: 5
          --seed <N>               Seed of all random choices; default: 42
          --resume                 Resume the search in the run folder
          --dashboard <WHEN>       When to show a dashboard; auto shows it in a terminal. Ctrl-C saves
                                   and stops [default: auto] [possible values: auto, on, off]
          --json                   Print JSON on stdout
      -v, --verbose...             Print more log lines on stderr; -vv prints still more
      -h, --help                   Print help
    ");
}

#[test]
fn help_of_eval_ppl() {
    let help = Workplace::new().run("eval ppl --help").worked();
    assert_snapshot!(help, @r"
    Measure perplexity over windows of text

    Usage: longrope eval ppl [OPTIONS] [MODEL]

    Arguments:
      [MODEL]  Checkpoint folder, GGUF file or `hf:OWNER/NAME`; also accepted as --model MODEL

    Options:
          --config <FILE>     Configuration file (TOML); flags and `--set` override it
          --set <KEY=VALUE>   Set a configuration key, for example `search.population=32`; repeatable
          --device <DEVICE>   Device to compute on: flex (default), ndarray, wgpu[:N|:cpu|:integrated],
                              vulkan[:N|:cpu|:integrated], metal[:N|:integrated], cuda[:N], rocm[:N],
                              remote:ws://HOST:PORT; A+B puts some layers on each; repeatable where the
                              verb uses several
          --force             Start even if the job needs more memory than there is
          --text <PATH>...    Text: files or folders of plain text, JSON lines or Parquet, or
                              `hf:OWNER/NAME`; repeatable
          --tokens <FILE>     Token ids to use instead of text: a JSON list of ids, or a list of such
                              lists
          --contexts <N,..>   Context lengths in tokens, separated by commas
          --rope <R>...       RoPE: checkpoint (default); a method scaled for each context (none, pi,
                              ntk, dynamic-ntk, yarn, llama3, mrrope-uni, mrrope-pro, selfextend);
                              METHOD@CONTEXT, scaled for one context; a method with its own numbers
                              (theta@BASE, drope, drope@C, selfextend@GROUP,WINDOW); a published name;
                              or a rope.json, factor CSV or Hugging Face config.json; repeatable
          --reference <R>     RoPE that differences are taken to, by its name in the table; default: the
                              first
          --windows <N>       Windows per document, evenly spaced; default: 8
          --stride <N>        Tokens from the start of one window to the start of the next, for
                              overlapping windows
          --within <N>        Score the same text at every context: spread windows of N tokens, and
                              divide them for shorter contexts
          --protocol <NAME>   Perplexity as measured by: longrope (default), yarn, truncate or llama.cpp
          --out <DIR>         Run folder for the results
          --per-token <FILE>  File to write one JSON line per scored token to
          --json              Print JSON on stdout
      -v, --verbose...        Print more log lines on stderr; -vv prints still more
      -h, --help              Print help
    ");
}

#[test]
fn help_of_verify() {
    let help = Workplace::new().run("verify --help").worked();
    assert_snapshot!(help, @r"
    Check that another program computes the same losses from a checkpoint

    Usage: longrope verify [OPTIONS] --with <RUNTIME> [MODEL]

    Arguments:
      [MODEL]
              Checkpoint folder, GGUF file or `hf:OWNER/NAME`; also accepted as --model MODEL

    Options:
          --config <FILE>
              Configuration file (TOML); flags and `--set` override it

          --set <KEY=VALUE>
              Set a configuration key, for example `search.population=32`; repeatable

          --device <DEVICE>
              Device to compute on: flex (default), ndarray, wgpu[:N|:cpu|:integrated],
              vulkan[:N|:cpu|:integrated], metal[:N|:integrated], cuda[:N], rocm[:N],
              remote:ws://HOST:PORT; A+B puts some layers on each; repeatable where the verb uses
              several

          --force
              Start even if the job needs more memory than there is

          --with <RUNTIME>
              The program to compare with. It has to be installed

              Possible values:
              - transformers: Hugging Face transformers, on a folder
              - llama.cpp:    llama.cpp through llama-cpp-python, on a GGUF file
              - vllm:         vLLM, on a folder

          --python <PATH>
              Python interpreter that has the program; default: `python3`

          --library <PATH>
              File or folder of a libllama to load in place of the one that came with llama-cpp-python

          --text <PATH>...
              Text: files or folders of plain text, JSON lines or Parquet, or `hf:OWNER/NAME`;
              repeatable

          --tokens <FILE>
              Token ids to use instead of text: a JSON list of ids, or a list of such lists

          --length <N>...
              Lengths of the sequences, in tokens; default: one within the original context and one
              beyond it

          --tolerance <NATS>
              Largest difference of the loss of a token; a tenth of it for the mean; default: by the
              types of the weights

          --print-script
              Print the Python script that runs the program, and do nothing else

          --json
              Print JSON on stdout

      -v, --verbose...
              Print more log lines on stderr; -vv prints still more

      -h, --help
              Print help (see a summary with '-h')
    ");
}

#[test]
fn every_verb_has_help_that_fits_a_terminal() {
    let here = Workplace::new();
    for verb in [
        "demo", "inspect", "doctor", "search", "compare", "eval", "eval ppl", "export", "verify",
    ] {
        let help = here.run(&format!("{verb} --help")).worked();
        assert!(help.contains("Usage: longrope "), "{help}");
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{help}");
    }
}

#[test]
fn the_version_is_the_version_of_the_workspace() {
    let version = Workplace::new().run("--version").worked();
    assert_eq!(
        version,
        concat!("longrope ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn an_unknown_flag_is_wrong_input() {
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
    for flags in [
        "--windows 2 --stride 16",
        "--within 64 --stride 16",
        "--text a.txt --tokens b.json",
    ] {
        let outcome = here.run(&format!("eval ppl --model m --contexts 32 {flags}"));
        assert_eq!(outcome.code, Some(1), "{flags}");
        assert!(outcome.stderr.contains("cannot be used with"), "{flags}");
    }
}

#[test]
fn only_results_go_to_stdout() {
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
fn an_inspection_shows_sliding_windows() {
    let here = Workplace::new();
    here.checkpoint("../families/qwen2-layers", "q");
    let text = here.run("inspect q").worked();
    let expected = "20 tokens in 2 of 3 layers; a longer context does not widen it";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn later_layers_of_configuration_override_earlier_ones() {
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

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let here = Workplace::new();
    for line in ["--help", "--version", "search --help"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = here.command(line);
        let output = command.stdout(full.unwrap()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {message}");
        assert!(message.contains("writing to stdout"), "{line}: {message}");
        assert!(
            message.contains("hint: free some space"),
            "{line}: {message}"
        );
    }
}
