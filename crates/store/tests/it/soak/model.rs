//! The bank as a child would play it: amounts in boxes and a word beside each thing. It knows nothing of rows, batches
//! or locks, and says of every step whether it must be done or refused.

use std::collections::HashSet;

/// Most open holds of an account, as the bank publishes it.
const HOLDS_PER_ACCOUNT_MAX: usize = 1_000;

/// How an account is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    No,
    Debits,
    All,
}

/// An account.
#[derive(Debug, Clone)]
pub(super) struct Purse {
    pub(super) balance: i64,
    pub(super) held: i64,
    pub(super) holds: usize,
    pub(super) stop: Stop,
    pub(super) closed: bool,
}

/// Reserved money.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) left: i64,
    pub(super) open: bool,
}

/// A payment to a merchant.
#[derive(Debug, Clone)]
pub(super) struct Paid {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) amount: i64,
    pub(super) back: i64,
    pub(super) reversed: bool,
}

/// A payment to another bank.
#[derive(Debug, Clone)]
pub(super) struct Away {
    pub(super) from: usize,
    pub(super) amount: i64,
    pub(super) left: bool,
    pub(super) gone: bool,
    pub(super) over: bool,
}

/// A transfer, which may be reversed.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) amount: i64,
    pub(super) reversed: bool,
}

/// A transfer that waits for a look, or waited.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) open: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Release,
    Reject,
    Cancel,
}

/// What a rule makes wait, in minor units: nothing else is so small.
pub(super) const SUSPECT: i64 = 777;

/// What nobody could place.
#[derive(Debug, Clone)]
pub(super) struct Lies {
    /// Positive for what came.
    pub(super) amount: i64,
    pub(super) open: bool,
}

/// A step, by the numbers of the things that it is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Deposit(usize, i64),
    Withdraw(usize, i64),
    Transfer(usize, usize, i64),
    Freeze(usize, bool),
    Unfreeze(usize),
    Close(usize),
    Limit(usize),
    Hold(usize, usize, i64),
    Capture(usize, Option<i64>, bool),
    Void(usize),
    Pay(usize, usize, i64),
    Refund(usize, Option<i64>),
    ReversePayment(usize),
    ReverseTransfer(usize),
    Send(usize, i64),
    Cancel(usize),
    Went(usize, i64, u32),
    CameBack(usize, i64, u32),
    Credit(usize, i64, u32),
    Debit(i64, u32),
    Resolve(usize, Option<usize>),
    /// A transfer to somebody else that a rule makes wait.
    Suspect(usize, usize),
    /// What somebody decides about one.
    Look(usize, Look),
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) accounts: Vec<Purse>,
    pub(super) cash: i64,
    pub(super) clearing: i64,
    pub(super) suspense: i64,
    pub(super) equity: i64,
    pub(super) holds: Vec<Held>,
    pub(super) payments: Vec<Paid>,
    pub(super) away: Vec<Away>,
    pub(super) transfers: Vec<Moved>,
    pub(super) lies: Vec<Lies>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) read: HashSet<(u32, i64)>,
}

impl Model {
    fn can_pay(&self, at: usize, amount: i64) -> bool {
        let own = &self.accounts[at];
        !own.closed && own.stop == Stop::No && own.balance - own.held >= amount
    }

    fn can_take(&self, at: usize) -> bool {
        let own = &self.accounts[at];
        !own.closed && own.stop != Stop::All
    }

    fn shift(&mut self, from: usize, to: usize, amount: i64) {
        self.accounts[from].balance -= amount;
        self.accounts[to].balance += amount;
    }

    /// The sum of everything, which is nothing.
    pub(super) fn sum(&self) -> i64 {
        let customers: i64 = self.accounts.iter().map(|account| account.balance).sum();
        customers + self.cash + self.clearing + self.suspense + self.equity
    }

    /// Plays a step, and says whether it must be done.
    pub(super) fn play(&mut self, step: Step) -> bool {
        self.played(step).is_some()
    }

    fn played(&mut self, step: Step) -> Option<()> {
        let must = |is: bool| is.then_some(());
        match step {
            Step::Deposit(at, amount) => {
                must(self.can_take(at))?;
                self.accounts[at].balance += amount;
                self.cash -= amount;
            }
            Step::Withdraw(at, amount) => {
                must(self.can_pay(at, amount))?;
                self.accounts[at].balance -= amount;
                self.cash += amount;
            }
            Step::Transfer(from, to, amount) => {
                must(from != to && self.can_pay(from, amount) && self.can_take(to))?;
                self.shift(from, to, amount);
                self.transfers.push(Moved {
                    from,
                    to,
                    amount,
                    reversed: false,
                });
            }
            Step::Freeze(at, all) => {
                let own = &mut self.accounts[at];
                must(!own.closed)?;
                // Freezing again never loosens.
                own.stop = match (own.stop, all) {
                    (Stop::All, _) | (_, true) => Stop::All,
                    _ => Stop::Debits,
                };
            }
            Step::Unfreeze(at) => {
                let own = &mut self.accounts[at];
                must(!own.closed && own.stop != Stop::No)?;
                own.stop = Stop::No;
            }
            Step::Close(at) => {
                let own = &mut self.accounts[at];
                must(!own.closed && own.balance == 0 && own.held == 0)?;
                own.closed = true;
            }
            Step::Limit(at) => must(!self.accounts[at].closed)?,
            Step::Hold(from, to, amount) => {
                must(from != to && self.can_pay(from, amount) && self.can_take(to))?;
                must(self.accounts[from].holds < HOLDS_PER_ACCOUNT_MAX)?;
                self.accounts[from].holds += 1;
                self.accounts[from].held += amount;
                self.holds.push(Held {
                    from,
                    to,
                    left: amount,
                    open: true,
                });
            }
            Step::Capture(at, amount, last) => {
                let hold = self.holds.get(at)?.clone();
                let amount = amount.unwrap_or(hold.left);
                must(hold.open && amount <= hold.left)?;
                let own = &self.accounts[hold.from];
                must(!own.closed && own.stop == Stop::No && self.can_take(hold.to))?;
                self.shift(hold.from, hold.to, amount);
                let over = last || amount == hold.left;
                let freed = if over { hold.left } else { amount };
                self.accounts[hold.from].held -= freed;
                self.holds[at].left -= freed;
                self.holds[at].open = !over;
                self.accounts[hold.from].holds -= usize::from(over);
            }
            Step::Void(at) => {
                let hold = self.holds.get(at)?.clone();
                must(hold.open)?;
                self.accounts[hold.from].held -= hold.left;
                self.holds[at].left = 0;
                self.holds[at].open = false;
                self.accounts[hold.from].holds -= 1;
            }
            Step::Pay(from, to, amount) => {
                must(from != to && self.can_pay(from, amount) && self.can_take(to))?;
                self.shift(from, to, amount);
                self.payments.push(Paid {
                    from,
                    to,
                    amount,
                    back: 0,
                    reversed: false,
                });
            }
            Step::Refund(at, amount) => {
                let left = self.left_of(at);
                let paid = self.payments.get(at)?.clone();
                let amount = amount.unwrap_or(left);
                must(left > 0 && amount <= left)?;
                must(self.can_pay(paid.to, amount) && self.can_take(paid.from))?;
                self.shift(paid.to, paid.from, amount);
                self.payments[at].back += amount;
            }
            Step::ReversePayment(at) => {
                let left = self.left_of(at);
                let paid = self.payments.get(at)?.clone();
                must(left > 0 && self.can_undo(paid.from, paid.to, left))?;
                self.shift(paid.to, paid.from, left);
                self.payments[at].reversed = true;
            }
            Step::ReverseTransfer(at) => {
                let moved = self.transfers.get(at)?.clone();
                must(!moved.reversed && self.can_undo(moved.from, moved.to, moved.amount))?;
                self.shift(moved.to, moved.from, moved.amount);
                self.transfers[at].reversed = true;
            }
            Step::Send(from, amount) => {
                must(self.can_pay(from, amount))?;
                self.accounts[from].balance -= amount;
                self.clearing += amount;
                self.away.push(Away {
                    from,
                    amount,
                    left: false,
                    gone: false,
                    over: false,
                });
            }
            Step::Cancel(at) => {
                let away = self.away.get(at)?.clone();
                must(!away.left && !away.over && !self.accounts[away.from].closed)?;
                self.accounts[away.from].balance += away.amount;
                self.clearing -= away.amount;
                self.away[at].over = true;
            }
            Step::Went(at, amount, entry) => {
                must(self.read.insert((entry, -amount)))?;
                let away = self.away.get(at).cloned();
                match away {
                    Some(away) if away.amount == amount && away.left && !away.gone => {
                        self.away[at].gone = true;
                    }
                    _ => self.lies(-amount),
                }
            }
            Step::CameBack(at, amount, entry) => {
                must(self.read.insert((entry, amount)))?;
                let away = self.away.get(at).cloned();
                match away {
                    Some(away)
                        if away.amount == amount
                            && away.left
                            && !away.over
                            && !self.accounts[away.from].closed =>
                    {
                        self.accounts[away.from].balance += amount;
                        self.clearing -= amount;
                        self.away[at].over = true;
                    }
                    _ => self.lies(amount),
                }
            }
            Step::Credit(at, amount, entry) => {
                must(self.read.insert((entry, amount)))?;
                if self.can_take(at) {
                    self.accounts[at].balance += amount;
                    self.clearing -= amount;
                } else {
                    self.lies(amount);
                }
            }
            Step::Debit(amount, entry) => {
                must(self.read.insert((entry, -amount)))?;
                self.lies(-amount);
            }
            Step::Suspect(from, to) => {
                must(from != to && self.can_pay(from, SUSPECT) && self.can_take(to))?;
                must(self.accounts[from].holds < HOLDS_PER_ACCOUNT_MAX)?;
                self.accounts[from].held += SUSPECT;
                self.accounts[from].holds += 1;
                self.waiting.push(Waiting { from, to, open: true });
            }
            Step::Look(at, look) => {
                let Waiting { from, to, open } = self.waiting.get(at)?.clone();
                must(open)?;
                if look == Look::Release {
                    let own = &self.accounts[from];
                    must(!own.closed && own.stop == Stop::No && self.can_take(to))?;
                    self.shift(from, to, SUSPECT);
                    self.transfers.push(Moved {
                        from,
                        to,
                        amount: SUSPECT,
                        reversed: false,
                    });
                }
                self.accounts[from].held -= SUSPECT;
                self.accounts[from].holds -= 1;
                self.waiting[at].open = false;
            }
            Step::Resolve(at, account) => {
                let lies = self.lies.get(at)?.clone();
                must(lies.open)?;
                match account {
                    Some(account) => {
                        let own = &self.accounts[account];
                        must(!own.closed)?;
                        must(lies.amount > 0 || own.balance - own.held >= -lies.amount)?;
                        self.accounts[account].balance += lies.amount;
                    }
                    None => self.equity += lies.amount,
                }
                self.suspense -= lies.amount;
                self.lies[at].open = false;
            }
        }
        Some(())
    }

    /// What is left of a payment; nothing of one that is not there.
    pub(super) fn left_of(&self, at: usize) -> i64 {
        let left = |paid: &Paid| if paid.reversed { 0 } else { paid.amount - paid.back };
        self.payments.get(at).map_or(0, left)
    }

    /// A freeze does not stop a reversal.
    fn can_undo(&self, from: usize, to: usize, amount: i64) -> bool {
        let owes = &self.accounts[to];
        !owes.closed && !self.accounts[from].closed && owes.balance - owes.held >= amount
    }

    fn lies(&mut self, amount: i64) {
        self.clearing -= amount;
        self.suspense += amount;
        self.lies.push(Lies { amount, open: true });
    }
}
