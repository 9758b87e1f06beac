#include "sim/study/serving_point.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/study/point.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <numeric>

namespace nvl72 {

namespace {

constexpr double million = 1e6;
constexpr double seconds_of_hour = 3600;

/// GPUs of an experiment's cluster: all of one rack or box where it says nothing.
ClusterChoice sized(ClusterChoice choice, std::int64_t needed) {
    if (choice.gpus == 0) choice.gpus = needed;
    return choice;
}

std::int64_t replicas_of(ServingSystem const& system,
                         ServingLayout const& layout,
                         std::int64_t prefill_gpus) {
    auto const& asked = system.serving.replicas;
    std::int64_t const each = layout.gpus();
    if (asked) {
        if (asked->value < 1) fail(asked->place, std::to_string(asked->value), "1 or more");
        std::int64_t const needed = asked->value * each + prefill_gpus;
        if (system.cluster.gpus != 0 && system.cluster.gpus != needed) {
            fail(system.cluster.gpus_place, fmt::format("{} GPUs", system.cluster.gpus),
                 fmt::format("{}: what {} servers of {} and {} for prompts take", needed,
                             asked->value, each, prefill_gpus));
        }
        return asked->value;
    }
    if (system.cluster.gpus == 0) return 1;
    std::int64_t const left = system.cluster.gpus - prefill_gpus;
    if (left < each || left % each != 0) {
        fail(system.cluster.gpus_place, fmt::format("{} GPUs", system.cluster.gpus),
             fmt::format("a multiple of the {} of a server, and {} for prompts", each,
                         prefill_gpus));
    }
    return left / each;
}

RequestSource resolved(RequestSource source) {
    namespace fs = std::filesystem;
    if (source.trace && fs::path(*source.trace).is_relative()) {
        auto const beside = fs::path(source.place.file).parent_path() / *source.trace;
        if (fs::exists(beside)) source.trace = beside.string();
    }
    return source;
}

PrefixCaches prefix_caches(PrefixCacheChoice const& choice,
                           Pool const& pool,
                           Fabric const& fabric) {
    auto const refuse = [&](char const* key, std::string const& found, char const* expected) {
        Place place = choice.place;
        place.key = place.key.empty() ? key : place.key + "." + key;
        fail(place, found, expected);
    };
    if (choice.hbm_share < 0 || choice.hbm_share >= 1)
        refuse("hbm_share", fmt::format("{:g}", choice.hbm_share), "0 to below 1");
    auto const& replica = pool.cost->replica();
    double const gpus = replica.layout.gpus();
    double const groups = replica.layout.attention_dp;
    double const token_bytes = pool.room.token_bytes + pool.room.windowed_bytes;
    double const all_ranks = cache_bytes(replica.model, replica.precision, 1);
    PrefixCaches caches;
    caches.routing = choice.routing;
    // The share was taken from the room that sequences have.
    double const room = pool.room.room * groups * choice.hbm_share / (1 - choice.hbm_share);
    caches.tiers.push_back({room / token_bytes, 0});
    auto const add = [&](std::optional<Bytes> const& bytes, double rate) {
        if (!bytes) return;
        caches.tiers.push_back(
            {static_cast<double>(bytes->count) * gpus / all_ranks, token_bytes / rate});
    };
    add(choice.host,
        choice.host_rate ? choice.host_rate->count : fabric.cluster().host.cpu_gpu_bandwidth.count);
    add(choice.remote, choice.remote_rate ? choice.remote_rate->count : fabric.nic_per_gpu().count);
    return caches;
}

Pool pool_of(StepCost& cost, Fabric const& fabric, std::int64_t servers, std::int64_t slots) {
    auto const& replica = cost.replica();
    return {&cost,
            cache_room(replica.model, replica.precision, replica.layout, replica.engine.batch,
                       fabric.gpu().hbm_capacity),
            static_cast<int>(servers), slots};
}

void fill_layout(ServingRow& row, LoadedServing const& loaded) {
    auto const& system = loaded.point.system;
    auto const& layout = loaded.decode->replica().layout;
    row.kind = name_of(loaded.point.kind);
    row.system = system.name;
    row.group = loaded.point.group;
    row.variant = loaded.point.variant;
    row.cluster = loaded.fabric.cluster().name;
    row.gpu = loaded.fabric.gpu().name;
    row.model = loaded.decode->replica().model.name;
    row.engine = loaded.engine_name;
    row.precision = system.serving.precision.value;
    row.gpus = loaded.deployment.gpus();
    row.tp = layout.tp;
    row.pp = layout.pp;
    row.attention_dp = layout.attention_dp;
    row.expert_ep = layout.expert_ep;
    row.replicas = loaded.deployment.pool.servers;
    if (loaded.deployment.apart) {
        auto const& prefill = loaded.deployment.apart->prefill;
        row.prefill_gpus = std::int64_t{prefill.servers} * prefill.cost->replica().layout.gpus();
    }
    row.regime = fmt::format("{} {}", loaded.prefill ? "disaggregated" : "aggregated",
                             loaded.decode->replica().model.experts > 0 ? "moe" : "dense");
}

void fill_times(ServingRow& row, ServingMetrics const& metrics) {
    auto const put = [](Percentiles const& from, double& mean, double& p50, double& p90,
                        double& p99, double& p999) {
        mean = from.mean;
        p50 = from.p50;
        p90 = from.p90;
        p99 = from.p99;
        p999 = from.p999;
    };
    put(metrics.ttft_s, row.ttft_s, row.ttft_p50_s, row.ttft_p90_s, row.ttft_p99_s,
        row.ttft_p999_s);
    put(metrics.tpot_s, row.tpot_s, row.tpot_p50_s, row.tpot_p90_s, row.tpot_p99_s,
        row.tpot_p999_s);
    put(metrics.latency_s, row.latency_s, row.latency_p50_s, row.latency_p90_s, row.latency_p99_s,
        row.latency_p999_s);
    row.question_s = metrics.question_s.mean;
    row.question_p50_s = metrics.question_s.p50;
    row.question_p90_s = metrics.question_s.p90;
    row.question_p99_s = metrics.question_s.p99;
    row.tokens_per_s = metrics.output_tokens_per_s;
    row.tokens_per_s_per_gpu = metrics.tokens_per_s_per_gpu;
    row.tokens_per_s_per_user = metrics.tokens_per_s_per_user;
    row.requests_per_s = metrics.requests_per_s;
    row.good_share = metrics.good_share;
    row.good_requests_per_s = metrics.good_requests_per_s;
    row.hit_share = metrics.hit_share;
    row.cache_share = metrics.cache_share;
    row.cache_most = metrics.cache_most;
    row.sequences = metrics.sequences;
    row.evictions = metrics.evictions;
    row.span_s = metrics.span_s;
    double const all = metrics.prompt_s + metrics.decode_s + metrics.idle_s;
    if (all > 0) {
        row.prompt_share = metrics.prompt_s / all;
        row.decode_share = metrics.decode_s / all;
        row.idle_share = metrics.idle_s / all;
    }
}

void fill_interval(ServingRow& row, EngineProfile const& engine) {
    for (auto const& [regime, spread] : engine.spread) {
        if (regime != row.regime) continue;
        if (spread.ttft.size() == 2) {
            row.ttft_low_s = row.ttft_s * spread.ttft[0];
            row.ttft_high_s = row.ttft_s * spread.ttft[1];
        }
        if (spread.tpot.size() == 2) {
            row.tpot_low_s = row.tpot_s * spread.tpot[0];
            row.tpot_high_s = row.tpot_s * spread.tpot[1];
        }
    }
}

void fill_power(ServingRow& row, LoadedServing const& loaded, ServingMetrics const& metrics) {
    auto const drawn = served_power(loaded, metrics);
    if (!drawn) return;
    double const tokens = row.tokens_per_s * row.span_s;
    auto const requests = static_cast<double>(row.requests);
    row.gpu_w = drawn->gpu_w;
    row.unit_w = drawn->unit_w;
    row.cluster_w = drawn->cluster_w;
    row.energy_per_token_j = drawn->joules / tokens;
    row.energy_per_request_j = drawn->joules / requests;
    auto const& setting = *loaded.power;
    row.carbon_g_per_mtoken =
        footprint(setting.facility, drawn->joules).carbon_g * million / tokens;
    double const hours = static_cast<double>(row.gpus) * row.span_s / seconds_of_hour;
    double const usd = cost_usd(setting, hours, drawn->joules);
    row.usd_per_mtoken = usd * million / tokens;
    row.usd_per_request = usd / requests;
    row.energy_per_question_j = row.energy_per_request_j * static_cast<double>(row.samples);
    row.usd_per_question = row.usd_per_request * static_cast<double>(row.samples);
}

}  // namespace

LoadedServing load_serving(ServingPoint const& point,
                           Library const& library,
                           GivenProfiles const& given,
                           Trail* trail) {
    auto const& system = point.system;
    auto const& serving = system.serving;
    auto const file = [&](char const* kind, Placed<std::string> const& name) {
        return library.path(kind, name.value, name.place);
    };
    auto const model = load_architecture(file("models", serving.model));
    auto const engine = load_engine(file("engines", serving.engine), trail);
    auto const precision = precision_of(engine, serving.precision.value, serving.precision.place);
    auto const layout = checked(serving.layout, model);
    std::optional<ServingLayout> prompts;
    std::int64_t prefill_gpus = 0;
    if (serving.prefill) {
        prompts = checked(serving.prefill->layout, model);
        if (serving.prefill->replicas < 1)
            fail(serving.prefill->place, "no servers for prompts", "replicas of 1 or more");
        prefill_gpus = serving.prefill->replicas * prompts->gpus();
        if (serving.requests.tools)
            fail(serving.requests.tools->place, "tools where prefill is apart",
                 "prompts and decoding on the same servers");
    }
    std::int64_t const replicas = replicas_of(system, layout, prefill_gpus);
    LoadedServing loaded{
        point,
        build_fabric(sized(system.cluster, replicas * layout.gpus() + prefill_gpus), library,
                     trail),
        {},
        serving.engine.value,
        nullptr,
        nullptr,
        {},
        std::nullopt};
    auto [profile, name] =
        profile_of(loaded.fabric, system.cluster.name_place, library, given, trail);
    loaded.profile_name = name;
    if (!profile.gemm) {
        fail(system.cluster.name_place,
             fmt::format("{}, whose calibration prices no GEMM", system.cluster.name),
             "a cluster of GPUs: a CPU's threads only try collectives");
    }
    profile = with_network(std::move(profile), loaded.fabric, library);
    auto const cost = [&](ServingLayout const& cut) {
        return std::make_unique<StepCost>(
            Replica{model, precision, cut, groups_of(cut, loaded.fabric), engine, profile});
    };
    loaded.decode = cost(layout);
    loaded.deployment.pool = pool_of(*loaded.decode, loaded.fabric, replicas, serving.slots);
    if (prompts) {
        loaded.prefill = cost(*prompts);
        double const rate = serving.transfer
                                ? serving.transfer->count
                                : loaded.decode->replica().groups.nic.count * layout.tp;
        loaded.deployment.apart =
            Disaggregation{pool_of(*loaded.prefill, loaded.fabric, serving.prefill->replicas, 0),
                           serving.slots, rate, 0};
    }
    if (serving.prefix_cache) {
        Pool& pool = prompts ? loaded.deployment.apart->prefill : loaded.deployment.pool;
        pool.room.room *= 1 - serving.prefix_cache->hbm_share;
        loaded.deployment.prefix = prefix_caches(*serving.prefix_cache, pool, loaded.fabric);
    }
    ClusterSpec const& cluster = loaded.fabric.cluster();
    loaded.power = load_power(system.power, library, cluster.kind, cluster.gpu,
                              loaded.fabric.gpu().tdp, cluster.unit_power, trail);
    return loaded;
}

std::optional<ServedPower> served_power(LoadedServing const& loaded,
                                        ServingMetrics const& metrics) {
    if (!loaded.power || metrics.span_s <= 0) return std::nullopt;
    auto const gpus = static_cast<double>(loaded.fabric.gpus());
    // Steps with prompts are arithmetic, those without read weights and caches.
    GpuActivity const all{
        gpus, {metrics.prompt_s / gpus, metrics.decode_s / gpus, 0, 0, metrics.idle_s / gpus}};
    auto const drawn = step_power(*loaded.power, loaded.fabric, {all}, metrics.span_s, 1);
    return ServedPower{drawn.gpu_w, drawn.unit_w, drawn.cluster_w, drawn.joules};
}

ServedPoint simulate_serving(LoadedServing& loaded, std::int64_t index, std::uint64_t seed) {
    auto const& serving = loaded.point.system.serving;
    ServedPoint served;
    served.requests = requests_of(resolved(serving.requests), seed);
    if (served.requests.size() == 0) fail(serving.requests.place, "no requests", "one or more");
    try {
        served.run =
            serve(loaded.deployment, served.requests, serving.requests.clients.value_or(0));
    } catch (DoesNotFit const& error) {
        throw DoesNotFit(fmt::format("{}: {}: {}", loaded.point.system.place.text(),
                                     loaded.point.system.name, error.what()));
    } catch (std::overflow_error const&) {
        fail(loaded.point.system.place, "a run of more than 106 days, where simulated time ends",
             "fewer requests, or faster servers");
    }
    auto const metrics = metrics_of(loaded.deployment, served.requests, served.run, serving.slo);
    ServingRow& row = served.row;
    row.point = index;
    fill_layout(row, loaded);
    row.clients = serving.requests.clients.value_or(0);
    row.rate = serving.requests.rate.value_or(ServingRow::none);
    row.requests = static_cast<std::int64_t>(served.requests.size());
    row.samples = served.requests.samples;
    auto const mean = [&](std::vector<std::int32_t> const& lengths) {
        return std::accumulate(lengths.begin(), lengths.end(), 0.0) /
               static_cast<double>(lengths.size());
    };
    row.input_mean = mean(served.requests.input);
    row.output_mean = mean(served.requests.output);
    fill_times(row, metrics);
    fill_interval(row, loaded.decode->replica().engine);
    fill_power(row, loaded, metrics);
    auto const& published = loaded.point.system.published;
    if (published.ttft) row.published_ttft_s = to_seconds(published.ttft->value);
    if (published.tpot) row.published_tpot_s = to_seconds(published.tpot->value);
    if (published.tokens_per_s) row.published_tokens_per_s = published.tokens_per_s->value;
    auto shares = loaded.decode->shares();
    auto const judged = verdict(shares);
    row.basis = describe(judged);
    row.basis_share = judged.share;
    return served;
}

}  // namespace nvl72
