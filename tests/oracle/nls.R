# Plain formulas, a self-starting one, one with parameters per group, plinear, port, a function of the analyst's.

nls_response <- function(model, rows) predict(model, rows)

nls_far <- function(x, n = 250L) {
  set.seed(5)
  c(NA, 0, -1, 1e-300, 1e300, Inf, -Inf, NaN, runif(n - 8L, 0, 2 * max(x)))
}

case(
  "nls-puromycin",
  fit = function() {
    nls(rate ~ Vm * conc / (K + conc), Puromycin, list(Vm = 200, K = 0.05), subset = state == "treated", model = TRUE)
  },
  rows = function() data.frame(conc = nls_far(Puromycin$conc)),
  expect = list(response = nls_response)
)

case(
  "nls-groups",
  fit = function() {
    nls(rate ~ Vm[state] * conc / (K[state] + conc), Puromycin, list(Vm = c(200, 160), K = c(0.05, 0.05)))
  },
  rows = function() {
    states <- factor(rep(c("treated", "untreated"), 125), levels(Puromycin$state))
    states[20:25] <- NA
    data.frame(state = states, conc = nls_far(Puromycin$conc))
  },
  expect = list(response = nls_response)
)

case(
  "nls-self-start",
  fit = function() nls(density ~ SSlogis(log(conc), Asym, xmid, scal), DNase, weights = 1 / (1 + conc)),
  rows = function() data.frame(conc = abs(nls_far(DNase$conc))),
  expect = list(response = nls_response)
)

case(
  "nls-plinear",
  fit = function() {
    nls(rate ~ conc / (K + conc), Puromycin, list(K = 0.05), algorithm = "plinear", subset = state == "treated")
  },
  rows = function() data.frame(conc = nls_far(Puromycin$conc)),
  expect = list(response = nls_response)
)

case(
  "nls-port",
  fit = function() {
    scale <- 3
    shape <- function(x, rate) exp(-rate * x / scale)
    cooling <- data.frame(`time (s)` = 0:40, check.names = FALSE)
    cooling$heat <- 20 + 60 * exp(-0.2 * cooling$`time (s)` / 3) + sin(0:40) / 10
    nls(
      heat ~ low + high * shape(`time (s)`, rate), cooling, list(low = 15, high = 50, rate = 0.1), algorithm = "port",
      lower = c(0, 0, 0), upper = c(100, 100, 1)
    )
  },
  rows = function() data.frame(`time (s)` = nls_far(40), check.names = FALSE),
  expect = list(response = nls_response)
)
