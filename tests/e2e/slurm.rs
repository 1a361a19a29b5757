//! What jobs of Slurm are called, on a simulated machine with cgroups v2.

use noether_tests::exporter::Exporter;
use noether_tests::machine::{Hardware, Load, Machine};
use noether_tests::outcome::together;
use noether_tests::scrape::{Sample, Scrape};

use crate::watch::Watch;

const OWNER: &str = "job/slurm/42";

/// The one info series of the job.
fn info(scrape: &Scrape) -> Vec<(String, String)> {
    let of_job = |sample: &&Sample| sample.label("job_id") == "42";
    let series: Vec<_> = scrape.samples("noether_job_info").filter(of_job).collect();
    assert_eq!(series.len(), 1, "{}", scrape.text);
    series[0].labels.clone()
}

fn labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    let ids = [("scheduler", "slurm"), ("job_id", "42")];
    ids.iter().chain(labels).map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn names_of_a_job_come_later_than_its_energy_and_stay_with_it() {
    let _guard = together();
    let job = Load::at("system.slice/slurmstepd.scope/job_42/step_0/user/task_0").owner(OWNER);
    let mut machine = Machine::new(Hardware::intel(), vec![job.cpu(&[1.0, 0.0]).lives(0.0, 100.0)]);
    machine.advance(1.0);
    let exporter = Exporter::start(&[machine.flags(), vec!["--sample.interval=200ms".to_owned()]].concat());
    let mut watch = Watch::new(&exporter);
    let mut until = |machine: &mut Machine, what: &str, good: &dyn Fn(&Scrape) -> bool| {
        watch.until(what, |scrape| {
            machine.advance(0.1);
            info(scrape);
            good(scrape)
        })
    };

    let unnamed = until(&mut machine, "it costs something", &|scrape| scrape.joules(OWNER, "cpu") > 0.0);
    assert_eq!(info(&unnamed), labels(&[]));

    let file = "SLURM_JOB_ID=42\nSLURM_JOB_UID=1000\nSLURM_JOB_USER=ada\nSLURM_JOB_ACCOUNT=physics\n\
                SLURM_JOB_PARTITION=main\nSLURM_JOB_NAME=a \"\\fit\u{1b}[1m\nSLURM_JOB_USER=eve\n";
    machine.tree().put("run/noether/jobs/42", file);
    let names = labels(&[
        ("user_id", "1000"),
        ("user", "ada"),
        ("account", "physics"),
        ("partition", "main"),
        ("job_name", "a \"\\fit\u{fffd}[1m"),
    ]);
    let named = until(&mut machine, "it has names", &|scrape| info(scrape).len() > 2);
    assert_eq!(info(&named), names);
    assert!(named.joules(OWNER, "cpu") >= unnamed.joules(OWNER, "cpu"));

    machine.advance_to(101.0);
    machine.tree().remove("run/noether/jobs");
    let ended = until(&mut machine, "it has ended", &|_| true).ticked();
    let later = until(&mut machine, "some ticks have passed", &|scrape| scrape.ticked() > ended + 1.0);
    assert_eq!(info(&later), names, "it keeps its names until it is retired");
}
