//! Slurm's lists of nodes: `n1,n[3-5,007],rack2-n[1-2]`.
//!
//! <https://slurm.schedmd.com/scontrol.html#OPT_hostnames>

/// Whether the list has the node.
pub(super) fn contains(list: &str, node: &str) -> bool {
    let mut depth = 0_u32;
    let outside = |letter: char| {
        depth = match letter {
            '[' => depth + 1,
            ']' => depth.saturating_sub(1),
            _ => depth,
        };
        letter == ',' && depth == 0
    };
    list.split(outside).any(|item| matches(item.trim(), node).unwrap_or(false))
}

/// Whether one expression stands for the node; `None` where it is none.
fn matches(mut expression: &str, mut node: &str) -> Option<bool> {
    while let Some((before, rest)) = expression.split_once('[') {
        let (ranges, after) = rest.split_once(']')?;
        node = node.strip_prefix(before)?;
        let digits = node.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = node.split_at_checked(digits)?;
        ranges.split(',').any(|range| is_in(range, number).unwrap_or(false)).then_some(())?;
        (expression, node) = (after, behind);
    }
    Some(expression == node)
}

/// Whether a number lies in a range and has as many digits as the range's first, at least.
fn is_in(range: &str, number: &str) -> Option<bool> {
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let value: u64 = number.parse().ok()?;
    let padded = number.len() == from.len() || (number.len() > from.len() && !number.starts_with('0'));
    Some(padded && (from.parse().ok()?..=to.parse().ok()?).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::contains;
    use proptest::prelude::*;

    #[test]
    fn lists_are_understood() {
        for (list, node) in [
            ("n1", "n1"),
            ("a,n1", "n1"),
            ("n[1-3]", "n2"),
            ("n[1,3-5]", "n4"),
            ("n[007-010]", "n009"),
            ("n[8-12]", "n11"),
            ("rack[1-2]n[3-4]-ib,x", "rack2n3-ib"),
            ("x,n[1-2],y[3-4]", "y3"),
        ] {
            assert!(contains(list, node), "{list} {node}");
        }
        for (list, node) in [
            ("", "n1"),
            ("n1", "n"),
            ("n[1-3]", "n4"),
            ("n[1-3]", "n02"),
            ("n[007-010]", "n9"),
            ("n[1-3]x", "n2"),
            ("n[1-3", "n2"),
            ("n[]", "n"),
            ("n[a-b]", "na"),
        ] {
            assert!(!contains(list, node), "{list} {node}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_read(list in r"[n0-9,\[\]-]{0,40}", node in "n[0-9]{0,22}") {
            contains(&list, &node);
        }
    }
}
