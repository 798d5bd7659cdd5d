"""Problems with worked solutions: chains of arithmetic, word problems, and quizzes over a small world of facts."""
