# shellcheck shell=bash disable=SC2034,SC2154 # used by the scripts; `here` is set by common.sh
# Names, places and sizes of what the numbered scripts make. To change one: export AKS_LOCATION=northeurope, or write
# that into local.sh beside this file, which git ignores. Names that must be unique in the world end in six letters
# that follow from the subscription.
# shellcheck source=/dev/null
[[ ! -e $here/local.sh ]] || source "$here/local.sh"

subscription=$(az account show --query id --output tsv)
unique=${AKS_UNIQUE:-$(sha256sum <<<"$subscription" | cut -c 1-6)}

location=${AKS_LOCATION:-westeurope}
read -ra zones <<<"${AKS_ZONES-1 2 3}" # a region without zones: AKS_ZONES=
((${#zones[@]} == 0)) || zones=(--zones "${zones[@]}")
group=${AKS_GROUP:-tandem}
cluster=${AKS_CLUSTER:-tandem}

# The name that callers use. One under cloudapp.azure.com costs nothing and needs no domain; for one of your own name
# the Azure DNS zone that it is in, or make its A record yourself when 6-deploy.sh says which.
host=${AKS_HOST:-tandem-$unique.$location.cloudapp.azure.com}
dns_zone=${AKS_DNS_ZONE:-}
dns_group=${AKS_DNS_GROUP:-}
email=${AKS_EMAIL:?Set AKS_EMAIL: Let\'s Encrypt and alerts write to it.}

kubernetes=${AKS_KUBERNETES:-1.35}
system_size=${AKS_SYSTEM_SIZE:-Standard_D4as_v5}
system_count=${AKS_SYSTEM_COUNT:-2}
cpu_size=${AKS_CPU_SIZE:-Standard_D4as_v5}
cpu_min=${AKS_CPU_MIN:-2}
cpu_max=${AKS_CPU_MAX:-6}
gpu_size=${AKS_GPU_SIZE:-Standard_NC4as_T4_v3}
gpu_max=${AKS_GPU_MAX:-2}

registry=${AKS_REGISTRY:-tandem$unique}
storage=${AKS_STORAGE:-tandem$unique}
container=${AKS_CONTAINER:-models}
vault=${AKS_VAULT:-tandem-$unique}
grafana=${AKS_GRAFANA:-tandem-$unique}
workspace=${AKS_WORKSPACE:-tandem}
identity=${AKS_IDENTITY:-tandem}

builder=${AKS_BUILDER:-registry} # who builds the images: the registry, or docker on this machine
torch=${AKS_TORCH:-torch==2.13.0}
cert_manager=${AKS_CERT_MANAGER:-v1.21.2}

# Who runs the scripts: whoever is signed in, unless that is no person (a pipeline): then the object id of its identity
# and AKS_OPERATOR_TYPE=ServicePrincipal.
operator=${AKS_OPERATOR:-}
operator_type=${AKS_OPERATOR_TYPE:-User}
