#!/bin/bash
# Trains on all nodes of a job, one worker a node: sbatch slurm.sh. WORK is on a disk that all nodes share.
# Longer than one job may last: for i in 1 2 3; do sbatch --dependency=singleton slurm.sh; done
#SBATCH --job-name=stackgan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

export WORK=${WORK:-$SLURM_SUBMIT_DIR}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
addresses=$(printf ', "%s:2222"' "${nodes[@]}")
export CLUSTER="{\"worker\": [${addresses:2}]}"

srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" bash -c '
  export TF_CONFIG="{\"cluster\": $CLUSTER, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec python -m stackgan_tf.train --dataset=oxford102 --source_dir="$WORK/oxford102" \
    --data_dir="$WORK/data" --run_dir="$WORK/runs/oxford102_v2"'
