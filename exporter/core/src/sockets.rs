//! Which workload ran on which socket: iterative proportional fitting of CPU times to sockets' busy times.
//!
//! Each cgroup tells how long it ran, each socket how long it was busy; a cpuset says where a cgroup may run. The matrix
//! that has these sums and is otherwise as even as it can be is the fixed point of scaling rows and columns in turn
//! (Deming and Stephan 1940, <https://doi.org/10.1214/aoms/1177731829>).

use alloc::vec::Vec;

use crate::sample::Sockets;

/// After this many rounds plain CPU-time shares serve.
const ROUNDS: usize = 50;
/// How near the sums must come, as a part of all busy time.
const NEAR: f64 = 1e-6;

/// CPU time of all workloads that may run on the same sockets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Class {
    /// Where they may run.
    pub sockets: Sockets,
    /// How long they ran, in any unit.
    pub time: f64,
}

/// The part of each class's time that was spent on each socket.
#[derive(Clone, Debug, Default)]
pub struct Fit {
    sockets: usize,
    cells: Vec<f64>,
    columns: Vec<f64>,
}

impl Fit {
    /// Fits `classes` to the sockets' `busy` times (same unit). `false` where no such matrix was found: then nothing is
    /// known of the sockets, and CPU time alone must serve.
    pub fn fit(&mut self, classes: &[Class], busy: &[f64]) -> bool {
        self.sockets = busy.len();
        self.level(classes, busy);
        self.cells.clear();
        for class in classes {
            let free = class.time > 0.0 && only(self.sockets, class).is_none();
            self.cells.extend(
                (0..busy.len()).map(|socket| f64::from(u8::from(free && class.sockets.contains(socket)))),
            );
        }
        let whole: f64 = classes.iter().map(|class| class.time).sum();
        let fits = (0..ROUNDS).any(|_| {
            self.scale_columns();
            self.scale_rows(classes) <= whole * NEAR
        });
        self.put_bound(classes);
        fits
    }

    /// The part of the class's time that it spent on the socket, 0 to 1.
    pub fn part(&self, class: usize, socket: usize) -> f64 {
        let row = self.cells.get(class * self.sockets..).unwrap_or_default();
        let row = row.get(..self.sockets).unwrap_or_default();
        let time: f64 = row.iter().sum();
        match row.get(socket) {
            Some(cell) if time > 0.0 => cell / time,
            _ => 0.0,
        }
    }

    /// The columns' sums: what is left of the busy times beside what is bound to one socket alone, made to add up to the
    /// rows'. A bound workload can seem to have run for longer than its socket (the kernel counts busy time in whole
    /// ticks); were it part of the fitting, the columns that it fills would converge no faster than 1/n.
    fn level(&mut self, classes: &[Class], busy: &[f64]) {
        self.columns.clear();
        self.columns.extend_from_slice(busy);
        let mut need = 0.0;
        for class in classes {
            match only(self.sockets, class).and_then(|socket| self.columns.get_mut(socket)) {
                Some(column) => *column = (*column - class.time).max(0.0),
                None => need += class.time,
            }
        }
        let (have, count) = (self.columns.iter().sum::<f64>(), self.columns.len().max(1) as f64);
        for column in &mut self.columns {
            *column = if have > 0.0 { *column * need / have } else { need / count };
        }
    }

    /// Puts the bound classes, which took no part in the fitting, where they belong.
    fn put_bound(&mut self, classes: &[Class]) {
        for (place, class) in classes.iter().enumerate() {
            if let Some(socket) = only(self.sockets, class)
                && let Some(cell) = self.cells.get_mut(place * self.sockets + socket)
            {
                *cell = class.time;
            }
        }
    }

    /// Scales each column to its sum.
    fn scale_columns(&mut self) {
        for (socket, target) in self.columns.iter().enumerate() {
            let sum: f64 = self.cells.iter().skip(socket).step_by(self.sockets).sum();
            let factor = if sum > 0.0 { target / sum } else { 0.0 };
            for cell in self.cells.iter_mut().skip(socket).step_by(self.sockets) {
                *cell *= factor;
            }
        }
    }

    /// Scales each row to its time, and tells by how much the rows were off before.
    fn scale_rows(&mut self, classes: &[Class]) -> f64 {
        let mut off = 0.0;
        let sockets = self.sockets;
        for (row, class) in self.cells.chunks_mut(sockets.max(1)).zip(classes) {
            if only(sockets, class).is_some() {
                continue;
            }
            let sum: f64 = row.iter().sum();
            off += (sum - class.time).abs();
            let factor = if sum > 0.0 { class.time / sum } else { 0.0 };
            for cell in row {
                *cell *= factor;
            }
        }
        off
    }
}

/// The socket of `sockets` that the class is bound to, where it is bound to one alone.
fn only(sockets: usize, class: &Class) -> Option<usize> {
    let mut allowed = (0..sockets).filter(|socket| class.sockets.contains(*socket));
    allowed.next().filter(|_| allowed.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Sockets = Sockets(0b01);
    const SECOND: Sockets = Sockets(0b10);

    fn fit(classes: &[(Sockets, f64)], busy: &[f64]) -> Option<Fit> {
        let classes: Vec<Class> =
            classes.iter().map(|(sockets, time)| Class { sockets: *sockets, time: *time }).collect();
        let mut fit = Fit::default();
        fit.fit(&classes, busy).then_some(fit)
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-3, "{a} is not {b}");
    }

    #[test]
    fn bound_work_stays_and_free_work_fills() {
        // 4 s bound to each socket beside 4 free: socket 0 was busy for 7 s, so 3 of the free ran there.
        let fit = fit(&[(FIRST, 4.0), (SECOND, 4.0), (Sockets::ALL, 4.0)], &[7.0, 5.0]).unwrap();
        near(fit.part(0, 0), 1.0);
        near(fit.part(1, 0), 0.0);
        near(fit.part(2, 0), 0.75);
    }

    #[test]
    fn free_work_alone_follows_the_busy_times() {
        let fit = fit(&[(Sockets::ALL, 3.0), (Sockets::ALL, 1.0)], &[1.0, 3.0]).unwrap();
        near(fit.part(0, 1), 0.75);
        near(fit.part(1, 1), 0.75);
    }

    #[test]
    fn a_bound_workload_may_exceed_its_socket_by_rounding() {
        let fit = fit(&[(FIRST, 1.01), (Sockets::ALL, 0.5)], &[1.0, 0.5]).unwrap();
        near(fit.part(0, 0), 1.0);
        near(fit.part(1, 1), 1.0);
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        // Three sockets, and a class bound to two of them that ran for longer than both were busy.
        assert!(fit(&[(Sockets(0b011), 9.0), (Sockets::ALL, 1.0)], &[1.0, 1.0, 8.0]).is_none());
    }

    #[test]
    fn nothing_at_all_is_no_panic() {
        assert!(fit(&[], &[]).is_some());
        assert!(fit(&[(Sockets::ALL, 0.0)], &[0.0, 0.0]).is_some());
        assert_eq!(fit(&[(Sockets::ALL, 2.0)], &[0.0, 0.0]).map(|fit| fit.part(0, 0)), Some(0.5));
    }

    proptest! {
        #[test]
        fn rows_and_columns_add_up(cells in prop::collection::vec(0.0..9.0_f64, 6..7), rest in 0.0..9.0_f64) {
            // Rows bound to 0, bound to 1, and free: any such matrix has a solution, and it is found.
            let busy = [cells[0] + cells[2] + rest, cells[1] + cells[3]];
            let classes = [(FIRST, cells[0]), (SECOND, cells[1]), (Sockets::ALL, cells[2] + cells[3] + rest)];
            let fit = fit(&classes, &busy).unwrap();
            for (socket, busy) in busy.iter().enumerate() {
                let sum: f64 = (0..3).map(|class| classes[class].1 * fit.part(class, socket)).sum();
                prop_assert!((sum - busy).abs() < 1e-3);
            }
        }
    }
}
