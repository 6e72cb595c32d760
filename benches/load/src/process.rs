//! What processes have used of the processors.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The time that these processes and all that descend from them have run, those included that have ended.
pub fn processor_time(roots: &[u32]) -> Duration {
    let ticks = ticks(&all(), roots);
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn ticks(processes: &HashMap<u32, Process>, roots: &[u32]) -> u64 {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, process) in processes {
        children.entry(process.parent).or_default().push(*pid);
    }
    let mut waiting = roots.to_vec();
    let mut ticks = 0;
    while let Some(pid) = waiting.pop() {
        ticks += processes.get(&pid).map_or(0, |process| process.ticks);
        waiting.extend(children.get(&pid).into_iter().flatten());
    }
    ticks
}

struct Process {
    parent: u32,
    ticks: u64,
}

fn all() -> HashMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// proc(5): the second field is a name in brackets that may hold anything; then come the state, the parent, and as the
/// 14th to 17th the ticks of the process and of its children that have ended.
fn read(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Process { parent: fields.get(1)?.parse().ok()?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_move_the_fields() {
        let process = read("7 (a) b (c)) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5").unwrap();
        assert_eq!((process.parent, process.ticks), (3, 100));
    }

    #[test]
    fn a_process_counts_with_all_that_descend_from_it() {
        let process = |pid, parent, ticks| (pid, Process { parent, ticks });
        let processes = [process(1, 0, 1), process(2, 1, 10), process(3, 2, 100), process(4, 1, 1_000)].into();
        assert_eq!(ticks(&processes, &[2]), 110);
        assert_eq!(ticks(&processes, &[2, 4]), 1_110);
        assert_eq!(ticks(&processes, &[9]), 0);
    }
}
