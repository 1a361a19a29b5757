//! Which component of a heterogeneous job a process belongs to.
//!
//! Each component is a job with a number of its own, but every process of all of them has the leader's `SLURM_JOB_ID`.
//! What is a component's own stands in variables that end with its place, such as `SLURM_JOB_ID_HET_GROUP_1`. Seen with
//! Slurm 22.05: `SLURM_JOB_NAME` and `SLURM_JOB_PARTITION` of a step are those of the last component that it spans, whichever
//! the process is in.
//!
//! <https://slurm.schedmd.com/heterogeneous_jobs.html#env_vars>

use std::sync::Arc;

use super::hostlist;
use super::records::{NUMBER, id};
use super::variables::{MOST_COMPONENTS, Variables, of_component};

const NODE: &str = "SLURMD_NODENAME";
const NODES: &str = "SLURM_JOB_NODELIST";
const STEP: &str = "SLURM_STEP_ID";
const STEP_TASKS: &str = "SLURM_STEP_NUM_TASKS";
const TASKS: &str = "SLURM_NTASKS";
const RANK: &str = "SLURM_PROCID";
const OFFSET: &str = "SLURM_HET_JOB_OFFSET";

/// What tells components apart where they share a node.
const DISTINCT: [&str; 3] = ["SLURM_JOB_NAME", "SLURM_JOB_PARTITION", "SLURM_JOB_ACCOUNT"];

/// A component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(super) place: usize,
    pub(super) number: Arc<str>,
}

/// The components of the job that an environment is of; none where the job is not heterogeneous.
pub(crate) fn components(environment: &Variables) -> Vec<Component> {
    let number_of = |place| id(environment.of(&of_component(NUMBER, place))?);
    let found = (0..MOST_COMPONENTS).filter_map(|place| Some(Component { place, number: number_of(place)? }));
    let mut found: Vec<_> = found.collect();
    let leader = environment.of(NUMBER).and_then(id);
    match (found.first(), leader) {
        (None, _) | (_, None) => return Vec::new(),
        // A job that was submitted from within a heterogeneous one has inherited that one's variables.
        (Some(first), Some(leader)) if first.place == 0 && first.number != leader => return Vec::new(),
        (Some(first), Some(leader)) if first.place > 0 => {
            found.insert(0, Component { place: 0, number: leader });
        }
        _ => {}
    }
    found
}

/// The component that a process with this environment runs in, as far as that tells.
pub(crate) fn of_process<'c>(components: &'c [Component], environment: &Variables) -> Option<&'c Component> {
    if let Some(offset) = environment.number(OFFSET) {
        return components.iter().find(|one| one.place as u64 == offset);
    }
    let node = environment.text(NODE)?;
    let runs_here = |one: &&Component| {
        environment.text(&of_component(NODES, one.place)).is_none_or(|list| hostlist::contains(list, node))
    };
    let here: Vec<_> = components.iter().filter(runs_here).collect();
    match here.as_slice() {
        [] => None,
        [one] => Some(one),
        // The batch script runs in the leader alone.
        _ if environment.of(STEP).is_none() => here.into_iter().find(|one| one.place == 0),
        _ => by_rank(components, environment).or_else(|| by_values(&here, environment)),
    }
}

/// In a step of all components, ranks go through them in order.
fn by_rank<'c>(components: &'c [Component], environment: &Variables) -> Option<&'c Component> {
    let rank = environment.number(RANK)?;
    let mut ends = Vec::with_capacity(components.len());
    for one in components {
        let before = ends.last().map_or(0, |(end, _): &(u64, &Component)| *end);
        ends.push((before.checked_add(environment.number(&of_component(TASKS, one.place))?)?, one));
    }
    let spans_all = ends.last().map(|(end, _)| *end) == environment.number(STEP_TASKS);
    ends.into_iter().find(|(end, _)| spans_all && rank < *end).map(|(_, one)| one)
}

/// A step of one component has that one's values.
fn by_values<'c>(here: &[&'c Component], environment: &Variables) -> Option<&'c Component> {
    let fits = |one: &&&Component| {
        DISTINCT.iter().all(|variable| {
            let own = environment.of(&of_component(variable, one.place));
            own.is_none() || own == environment.of(variable)
        })
    };
    let tasks = |one: &&&Component| {
        environment.number(&of_component(TASKS, one.place)) == environment.number(STEP_TASKS)
    };
    let mut fitting = here.iter().filter(fits).filter(tasks);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Slurm 22.05 has it, but for the nodes' names.
    const JOB: &str = "SLURM_HET_SIZE=2 SLURM_JOB_ID=1 SLURM_JOB_ID_HET_GROUP_0=1 SLURM_JOB_ID_HET_GROUP_1=2 \
        SLURM_JOB_NAME_HET_GROUP_0=alpha SLURM_JOB_NAME_HET_GROUP_1=beta SLURM_NTASKS_HET_GROUP_0=2 \
        SLURM_NTASKS_HET_GROUP_1=3 SLURM_JOB_PARTITION_HET_GROUP_0=main SLURM_JOB_PARTITION_HET_GROUP_1=second";

    fn number(more: &str) -> Option<String> {
        let text = format!("{JOB} {more}").replace(' ', "\0");
        let environment = Variables::of_process(text.as_bytes());
        let components = components(&environment);
        assert_eq!(components.len(), 2);
        of_process(&components, &environment).map(|one| one.number.to_string())
    }

    #[test]
    fn the_node_tells_the_component() {
        let nodes = "SLURM_JOB_NODELIST_HET_GROUP_0=n[1-2] SLURM_JOB_NODELIST_HET_GROUP_1=n3,n[5-7]";
        for (node, expected) in [("n1", Some("1")), ("n3", Some("2")), ("n6", Some("2")), ("n4", None)] {
            let step = format!("{nodes} SLURMD_NODENAME={node} SLURM_STEP_ID=0 SLURM_PROCID=0");
            assert_eq!(number(&step).as_deref(), expected, "{node}");
        }
        assert_eq!(number(""), None, "nothing tells");
        assert_eq!(number("SLURM_HET_JOB_OFFSET=1").as_deref(), Some("2"));
    }

    #[test]
    fn on_one_node_the_rank_or_the_name_tells_the_component() {
        let one = "SLURMD_NODENAME=n1 SLURM_JOB_NODELIST_HET_GROUP_0=n1 SLURM_JOB_NODELIST_HET_GROUP_1=n1";
        assert_eq!(number(one).as_deref(), Some("1"), "the batch script");
        let all = format!("{one} SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=5 SLURM_JOB_NAME=beta");
        for (rank, expected) in [(0, Some("1")), (1, Some("1")), (2, Some("2")), (4, Some("2")), (5, None)] {
            assert_eq!(number(&format!("{all} SLURM_PROCID={rank}")).as_deref(), expected, "{rank}");
        }
        let alone = |name: &str, tasks| {
            number(&format!(
                "{one} SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_JOB_NAME={name} SLURM_STEP_NUM_TASKS={tasks} \
                 SLURM_JOB_PARTITION=second"
            ))
        };
        assert_eq!(alone("beta", 3).as_deref(), Some("2"));
        assert_eq!((alone("alpha", 3), alone("beta", 2)), (None, None), "what does not fit tells nothing");
    }

    #[test]
    fn what_was_inherited_from_another_job_makes_none_heterogeneous() {
        let of = |text: &str| components(&Variables::of_process(text.replace(' ', "\0").as_bytes()));
        assert_eq!(of("SLURM_JOB_ID=7 SLURM_JOB_ID_HET_GROUP_0=1 SLURM_JOB_ID_HET_GROUP_1=2"), []);
        assert_eq!(of("SLURM_JOB_ID=7"), []);
        assert_eq!(of("SLURM_JOB_ID_HET_GROUP_1=2"), []);
        let both: Vec<_> =
            of("SLURM_JOB_ID=1 SLURM_JOB_ID_HET_GROUP_1=2").into_iter().map(|one| one.number).collect();
        assert_eq!(both, ["1".into(), "2".into()]);
        assert_eq!(of("SLURM_JOB_ID=1 SLURM_JOB_ID_HET_GROUP_1000=2 SLURM_JOB_ID_HET_GROUP_x=3"), []);
    }
}
