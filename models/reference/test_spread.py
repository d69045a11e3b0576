"""Work spread over processes: the order of its results, and what fails."""

import pytest
import torch

from spread import spread


def test_results_come_in_the_order_of_the_tasks_and_each_process_uses_one_thread():
    assert spread(divmod, [(7, 3), (9, 2), (5, 5)], "cpu") == [(2, 1), (4, 1), (1, 0)]
    assert spread(torch.get_num_threads, [()], "cpu") == [1]


def test_what_fails_in_a_process_is_raised():
    with pytest.raises(ZeroDivisionError):
        spread(divmod, [(1, 1), (1, 0)], "cpu")
