test_that("a StructTS takes a horizon and answers response and interval", {
  for (model in list(StructTS(log10(UKgas), type = "BSM"), StructTS(Nile, "level"))) {
    served <- opened(model)
    steps <- predict(model, n.ahead = 5)
    width <- qnorm(0.9) * steps$se
    expect_steps(served, 5L, steps$pred, list(steps$pred, steps$pred - width, steps$pred + width))
  }
})
