"""The job: which promise holds where a run goes on."""

import torch

from colab_kit.training.job import environment, exactness


def test_what_is_promised_on_going_on_says_what_broke_it():
    same = environment(torch.device("cpu"))
    assert exactness(same, same, stretched=False) == (True, "every bit as if it had never stopped")
    other = {**same, "torch": "2.6.0", "threads": "8"}
    exact, said = exactness(other, same, stretched=True)
    assert exact is False
    assert said.startswith("same data, order and augmentation, not the same bits (")
    assert (
        f"torch 2.6.0 → {same['torch']}" in said
        and "threads 8 → " in said
        and "stretch the schedule" in said
    )
    assert "beyond any key" in exactness(same, same, stretched=False, keyed=False)[1]
    cuda = {**same, "device": "cuda Tesla T4 x86_64"}
    assert "order of sums" in exactness(cuda, cuda, stretched=False)[1]
